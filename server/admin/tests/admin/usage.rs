//! Usage over time, costs, files of them, prices and estimates.

use serde_json::{Value, json};
use server_accounts::PriceListData;
use server_metering::{
    Ending, Endpoint, Entry, KeyId, Meter, ModelId, Opened, OrganizationId, Path, Picos, ProjectId,
    RequestId, Tag, Tier, UnixMillis, Usage,
};
use server_store::{NewPrice, Store};

use crate::world::{Organization, World, operator};

const DAY: u64 = 86_400;
/// 2026-11-15 00:00 UTC, in seconds.
const MIDNIGHT: u64 = 1_794_700_800;

fn entry(of: &Organization, request: u64, (endpoint, at): (&str, u64), usage: Usage) -> Entry {
    Entry {
        opened: Opened {
            request: RequestId::new(&format!("req_{}_{request}", of.id)).unwrap(),
            path: Path {
                organization: OrganizationId::new(&of.id).unwrap(),
                project: ProjectId::new(&of.project).unwrap(),
                key: KeyId::new(&of.key).unwrap(),
            },
            model: ModelId::new("mock@1").unwrap(),
            tier: Tier::new("standard").unwrap(),
            endpoint: Endpoint::new(endpoint).unwrap(),
            tag: Some(Tag::new("=tag").unwrap()),
            opened_at: UnixMillis(at * 1000),
            held: Picos::new(0),
        },
        settled_at: UnixMillis(at * 1000 + 500),
        usage,
        cost: Picos::new(1_500_000_000_001),
        ending: Ending::Finished,
    }
}

/// Bills chats of an organization, one a day, and one of each other kind on the first.
pub(crate) async fn bill(store: &Store, of: &Organization, num_days: u64) {
    let chat = Usage::NONE
        .with(Meter::InputTokens, 100)
        .with(Meter::CachedInputTokens, 20)
        .with(Meter::OutputTokens, 7)
        .with(Meter::Images, 1);
    let mut entries: Vec<Entry> = (0..num_days)
        .map(|day| {
            let at = MIDNIGHT + day * DAY + 3600;
            entry(of, day, ("/v1/chat/completions", at), chat)
        })
        .collect();
    let read = Usage::NONE.with(Meter::EmbeddingTokens, 9);
    let heard = Usage::NONE.with(Meter::AudioMillis, 2500);
    let others =
        [("/v1/embeddings", read), ("/v1/moderations", read), ("/v1/audio/translations", heard)];
    entries.extend(
        others.into_iter().zip(1000..).map(|((endpoint, usage), request)| {
            entry(of, request, (endpoint, MIDNIGHT + 60), usage)
        }),
    );
    store.append_to_ledger(&entries).await.unwrap();
}

fn results(page: &Value) -> Vec<&Value> {
    let buckets = page["data"].as_array().unwrap().iter();
    buckets.flat_map(|bucket| bucket["results"].as_array().unwrap()).collect()
}

#[tokio::test]
async fn tokens_are_told_by_day_and_by_group() {
    let world = World::new().await;
    bill(&world.store, &world.a, 3).await;
    bill(&world.store, &world.b, 3).await;
    let end = MIDNIGHT + 3 * DAY;
    let base = format!("/v1/organization/usage/completions?start_time={MIDNIGHT}&end_time={end}");
    let page = world.get(&format!("{base}&limit=2")).await.ok();
    let result = json!({"object": "organization.usage.completions.result", "input_tokens": 120,
        "output_tokens": 7, "input_cached_tokens": 20, "input_audio_tokens": 0,
        "output_audio_tokens": 0, "num_model_requests": 1, "project_id": null, "user_id": null,
        "api_key_id": null, "model": null, "batch": null, "service_tier": null});
    let bucket = |start: u64| {
        json!({"object": "bucket", "start_time": start, "end_time": start + DAY,
            "results": [result]})
    };
    let next = format!("page_{}", MIDNIGHT + 2 * DAY);
    assert_eq!(
        page,
        json!({"object": "page", "data": [bucket(MIDNIGHT), bucket(MIDNIGHT + DAY)],
        "has_more": true, "next_page": next})
    );
    let page = world.get(&format!("{base}&limit=2&page={next}")).await.ok();
    assert_eq!(
        page,
        json!({"object": "page", "data": [bucket(MIDNIGHT + 2 * DAY)],
        "has_more": false, "next_page": null})
    );
    let groups = "group_by[]=project_id&group_by[]=user_id&group_by[]=api_key_id&group_by=model\
                  &group_by=batch&group_by=service_tier";
    let page = world.get(&format!("{base}&{groups}")).await.ok();
    let first = results(&page)[0];
    for (field, value) in [
        ("project_id", json!(world.a.project)),
        ("user_id", json!(world.a.developer)),
        ("api_key_id", json!(world.a.key)),
        ("model", json!("mock@1")),
        ("batch", json!(false)),
        ("service_tier", json!("standard")),
    ] {
        assert_eq!(first[field], value, "{field}");
    }
    for (filter, expected) in [
        ("models=mock@1".to_owned(), 3),
        ("models=other".to_owned(), 0),
        (format!("api_key_ids={}", world.a.key), 3),
        (format!("user_ids[]={}", world.a.owner), 0),
        (format!("project_ids[]={}", world.b.project), 0),
        ("batch=true".to_owned(), 0),
    ] {
        let page = world.get(&format!("{base}&{filter}")).await.ok();
        assert_eq!(results(&page).len(), expected, "{filter}");
    }
    let hours = world.get(&format!("{base}&bucket_width=1h&limit=2")).await.ok();
    assert_eq!(results(&hours).len(), 1);
    assert_eq!(hours["data"][1]["end_time"], json!(MIDNIGHT + 7200));
}

/// As OpenAI's: more than a page has is refused, and the rest is on those that follow.
#[tokio::test]
async fn a_month_by_the_hour_comes_in_pages_of_168() {
    let world = World::new().await;
    bill(&world.store, &world.a, 30).await;
    let end = MIDNIGHT + 30 * DAY;
    let base = format!("/v1/organization/usage/completions?start_time={MIDNIGHT}&end_time={end}");
    // Of days there are 30.
    for (width, usual, most, max) in
        [("1m", 60, 1440, 1440), ("1h", 24, 168, 168), ("1d", 7, 30, 31)]
    {
        let path = format!("{base}&bucket_width={width}");
        let buckets = async |limit: &str| {
            let page = world.get(&format!("{path}{limit}")).await.ok();
            page["data"].as_array().unwrap().len()
        };
        assert_eq!(buckets("").await, usual, "{width}");
        assert_eq!(buckets(&format!("&limit={max}")).await, most, "{width}");
        let refused = world.get(&format!("{path}&limit={}", max + 1)).await;
        assert_eq!((refused.error().0, refused.error().2.as_deref()), (400, Some("limit")));
        assert!(refused.text.contains(&format!("1 to {max}")), "{}", refused.text);
    }
    let (mut sizes, mut starts, mut num, mut page) = (Vec::new(), Vec::new(), 0, String::new());
    loop {
        let answer = world.get(&format!("{base}&bucket_width=1h&limit=168{page}")).await.ok();
        let data = answer["data"].as_array().unwrap();
        sizes.push(data.len());
        starts.extend(data.iter().map(|bucket| bucket["start_time"].as_u64().unwrap()));
        num += results(&answer).len();
        let next = answer["next_page"].as_str();
        assert_eq!(answer["has_more"], next.is_some());
        let Some(next) = next else { break };
        page = format!("&page={next}");
    }
    assert_eq!(sizes, [168, 168, 168, 168, 48]);
    assert_eq!(num, 30, "one hour a day was used");
    assert!(starts.iter().zip(0..).all(|(start, hour)| *start == MIDNIGHT + hour * 3600));
}

#[tokio::test]
async fn each_kind_of_usage_has_its_own_route() {
    let world = World::new().await;
    bill(&world.store, &world.a, 1).await;
    let kinds = [
        ("embeddings", json!({"input_tokens": 9})),
        ("moderations", json!({"input_tokens": 9})),
        ("images", json!({"images": 1})),
        ("audio_transcriptions", json!({"seconds": 3})),
    ];
    for (kind, counts) in kinds {
        let path = format!("/v1/organization/usage/{kind}?start_time={MIDNIGHT}&limit=1");
        let page = world.get(&path).await.ok();
        let mut expected = json!({"object": format!("organization.usage.{kind}.result"),
            "num_model_requests": 1, "project_id": null, "user_id": null, "api_key_id": null,
            "model": null});
        expected.as_object_mut().unwrap().extend(counts.as_object().unwrap().clone());
        assert_eq!(results(&page), [&expected], "{kind}");
    }
}

#[tokio::test]
async fn costs_are_told_by_day_and_what_was_used_in_all() {
    let world = World::new().await;
    bill(&world.store, &world.a, 2).await;
    let end = MIDNIGHT + 2 * DAY;
    let times = format!("start_time={MIDNIGHT}&end_time={end}");
    let page = world.get(&format!("/v1/organization/costs?{times}&group_by=line_item")).await.ok();
    let found = results(&page);
    assert_eq!(
        *found[1],
        json!({"object": "organization.costs.result",
        "amount": {"value": 1.500000000001, "currency": "eur"}, "line_item": "mock@1",
        "project_id": null, "api_key_id": null})
    );
    assert_eq!(found[0]["amount"]["value"], json!(6.000000000004));
    let total = world.get(&format!("/api/v1/organization/usage?{times}")).await.ok();
    assert_eq!(
        total,
        json!({"object": "organization.usage", "start_time": MIDNIGHT,
        "end_time": end, "requests": 5, "audio_millis": 2500, "cached_input_tokens": 40,
        "compute_millis": 0, "embedding_tokens": 18, "images": 2, "input_tokens": 200,
        "output_tokens": 14, "provisioned_hours": 0, "storage_byte_hours": 0,
        "cost": "7.500001", "currency": "eur"})
    );
    let tagged = format!("/api/v1/organization/usage?{times}&tags[]=none");
    assert_eq!(world.get(&tagged).await.ok()["requests"], 0);
}

#[tokio::test]
async fn what_was_billed_is_exported_line_by_line() {
    let world = World::new().await;
    // More than a page has.
    bill(&world.store, &world.a, 600).await;
    let path = format!(
        "/api/v1/organization/usage/export?start_time={MIDNIGHT}&end_time={}",
        MIDNIGHT + 700 * DAY
    );
    let text = world.get(&path).await.text;
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 603);
    let last = &rows[602];
    assert_eq!(
        (&last["input_tokens"], &last["endpoint"]),
        (&json!(100), &json!("/v1/chat/completions"))
    );
    assert_eq!((&last["cost"], &last["ending"]), (&json!("1.500000000001"), &json!("finished")));
    let csv = world.get(&format!("{path}&format=csv")).await.text;
    let lines: Vec<&str> = csv.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 604);
    assert!(lines[0].starts_with("\"request_id\",") && lines[0].ends_with(",\"cost\""));
    // A tag that a spreadsheet would compute.
    assert!(lines[1].contains(",\"'=tag\","), "{}", lines[1]);
}

#[tokio::test]
async fn prices_are_listed_and_estimates_made_by_them() {
    let world = World::new().await;
    let list = PriceListData::flat([(Meter::InputTokens, "0.15")]);
    let new = |organization, model| NewPrice {
        organization,
        model,
        tier: "standard",
        valid_from: 1000,
        valid_until: None,
        list: list.clone(),
    };
    for (organization, model) in [(None, "mock"), (Some("org-beta"), "beta's")] {
        let id = organization.unwrap_or("org-alpha");
        world.store.set_price(&operator(id), &new(organization, model)).await.unwrap();
    }
    let prices = world.get("/api/v1/organization/prices").await.ok();
    let price = &prices["data"][0];
    assert_eq!(prices["data"].as_array().unwrap().len(), 1);
    assert_eq!(
        *price,
        json!({"object": "price", "id": price["id"], "model": "mock",
        "tier": "standard", "is_own": false, "valid_from": 1, "valid_until": null,
        "prices": {"period": "month", "meters": {"input_tokens": {"price": "0.15"}}},
        "currency": "eur"})
    );
    let path = "/api/v1/cost_estimate";
    let ask = json!({"model": "mock", "usage": {"input_tokens": 1_000_000, "output_tokens": 1}});
    let estimate = world.post(path, ask).await.ok();
    assert_eq!(
        estimate,
        json!({"object": "cost_estimate", "model": "mock", "tier": "standard",
        "lines": [{"meter": "input_tokens", "units": 1_000_000, "cost": "0.15"},
            {"meter": "output_tokens", "units": 1, "cost": "0.0000006"}],
        "total": "0.150001", "currency": "eur"})
    );
    let unknown = world.post(path, json!({"model": "none", "usage": {}})).await;
    assert_eq!((unknown.error().0, unknown.error().1.as_deref()), (404, Some("not_priced")));
    let bad = world.post(path, json!({"model": "mock", "usage": {"tokens": 1}})).await;
    assert_eq!(bad.error().2.as_deref(), Some("usage"));
    // What is beyond all use, or all amounts, is no sum.
    for (model, units) in [
        ("mock", 10_000_000_000_000_000_000_u64),
        ("mock", 1_000_000_000_000_001),
        ("dear", 1_000_000_000_000_000),
    ] {
        let ask = json!({"model": model, "usage": {"input_tokens": units}});
        let (status, _, param) = world.post(path, ask).await.error();
        assert_eq!((status, param.as_deref()), (400, Some("usage")), "{model} {units}");
    }
    let most = json!({"model": "mock", "usage": {"input_tokens": 1_000_000_000_000_000_u64}});
    assert_eq!(world.post(path, most).await.ok()["total"], "150000000.00");
}
