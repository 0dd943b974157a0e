//! All that is stored of an organization, told and removed; and that nothing is left of a person.

use std::collections::BTreeSet;

use serde_json::Value;
use server_accounts::{Currency, LimitsData, PriceListData, TariffData, may as permission};
use server_store::{Firing, NewInvitation, NewPrice, NewServiceAccount, User, backup};
use tokio::sync::mpsc::channel;

use crate::accounts::{actions, is_invalid, make_key, may, may_in, populated};
use crate::people::{join, key_of};
use crate::{On, Opened, alerts, backups, is_missing, ledger};

crate::on_both! {
    all_of_an_organization_is_told_but_no_secret,
    nothing_is_left_of_an_organization,
    nothing_is_left_of_a_person_but_an_id,
    the_currency_changes_only_while_nothing_has_an_amount,
}

/// Those of which `filled` makes no row.
const BILLING: &str = "INSERT INTO billing (organization_id, state, version, reported)
        VALUES ('a', '{}', 1, 0);
    INSERT INTO billing_customers (customer, organization_id) VALUES ('cus_1', 'a');
    INSERT INTO billing_spans (organization_id, subscription, customer, from_at)
        VALUES ('a', 'sub_1', 'cus_1', 7);
    INSERT INTO billing_notices (organization_id, position, created_at, notice)
        VALUES ('a', 1, 7, '{}')";

/// The organizations `default`, `a` and `b`, with rows of `a` in every table that has an
/// organization's; and a member.
async fn filled(on: On) -> (Opened, User) {
    let opened = populated(on).await;
    let store = &opened.store;
    store.create_organization(&may("default"), "Default").await.unwrap();
    backups::fill(store).await;
    let role = server_accounts::Role::custom("r", ["usage.read"]).unwrap();
    store.create_role(&may("a"), &role).await.unwrap();
    let user = join(store, "a", "ann", "developer").await;
    store.add_project_member(&may("a"), "p", &user.id, "member").await.unwrap();
    let [project, name, role] = ["p", "s", "member"].map(str::to_owned);
    let service = NewServiceAccount { project, name, role };
    store.create_service_account(&may("a"), &service).await.unwrap();
    key_of(store, &user, "a", "p").await;
    make_key(store, "b", "p").await;
    let invitation = NewInvitation {
        email: "bob@example.org".to_owned(),
        role: "viewer".to_owned(),
        projects: Vec::new(),
        hash: "SECRET-invitation".to_owned(),
        expires_at: i64::MAX,
    };
    store.invite(&may("a"), &invitation).await.unwrap();
    let hook = alerts::webhook(store, "a", &[]).await;
    let alert = alerts::alert(store, "a").await;
    assert_eq!(hook.url, "https://a.example/hook");
    let firing = Firing {
        organization: "a",
        alert: &alert,
        reached: &[50],
        number: 7,
        event: "budget.threshold_reached",
        body: "{}",
    };
    store.fire_alert(&firing).await.unwrap();
    store.append_to_ledger(&[ledger::entry("req1", ledger::NOON)]).await.unwrap();
    let tariff = TariffData { price: Some("1".to_owned()), ..TariffData::default() };
    let mut list = PriceListData::flat([]);
    list.meters.insert("input_tokens".to_owned(), tariff);
    let (model, tier, valid_from) = ("m", "standard", 1_000);
    let price =
        NewPrice { organization: Some("a"), model, tier, valid_from, valid_until: None, list };
    store.set_price(&may("a"), &price).await.unwrap();
    opened.run(BILLING).await;
    (opened, user)
}

/// What a backup of the database has, which holds nothing that was deleted.
async fn dumped(opened: &Opened) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dump");
    backup(&opened.database, &file).await.unwrap();
    String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned()
}

async fn told(opened: &Opened) -> Vec<Value> {
    let (sender, mut receiver) = channel::<String>(3);
    let mut lines = Vec::new();
    let take = async {
        while let Some(line) = receiver.recv().await {
            lines.push(serde_json::from_str(&line).unwrap());
        }
    };
    let allowed = may("a");
    let (num, ()) = tokio::join!(opened.store.export_organization(&allowed, sender), take);
    assert_eq!(num.unwrap(), lines.len() as u64);
    lines
}

async fn all_of_an_organization_is_told_but_no_secret(on: On) {
    let (opened, user) = &filled(on).await;
    let lines = told(opened).await;
    let tables: BTreeSet<&str> = lines.iter().map(|it| it["table"].as_str().unwrap()).collect();
    let expected = "alert_marks alerts audit_heads audit_log billing billing_customers
        billing_notices billing_spans completion_metadata completions conversation_items
        conversations invitations key_secrets keys ledger memberships organizations outbox prices
        project_memberships projects response_outputs responses roles service_accounts tenants
        usage_days usage_hours usage_sums webhooks";
    assert_eq!(tables, expected.split_whitespace().collect());
    let of = |table: &str| lines.iter().filter(|it| it["table"] == table).collect::<Vec<_>>();
    assert_eq!(of("conversation_items").len(), 250);
    // Of what clients asked to be kept it is told whose it is.
    for table in ["responses", "conversations", "conversation_items", "completions"] {
        assert!(of(table).iter().all(|it| it["row"]["project_id"] == "default"), "{table}");
    }
    assert_eq!(of("memberships")[0]["row"]["user_id"], user.id.as_str());
    assert_eq!(of("ledger")[0]["row"]["output_tokens"], 3);
    assert_eq!(of("projects")[0]["row"]["store_prompts"], Value::Null);
    let all = format!("{lines:?}");
    assert!(!all.contains("SECRET") && !all.contains("whsec_") && !all.contains("of b"), "{all}");
    // Who may read one project only is told nothing, and who has enough ends it.
    let (sender, receiver) = channel(3);
    let refused = opened.store.export_organization(&may_in("a", "p"), sender.clone()).await;
    assert!(is_missing(refused));
    assert!(is_missing(opened.store.export_organization(&may("x"), sender.clone()).await));
    assert!(receiver.is_empty());
    drop(receiver);
    assert_eq!(opened.store.export_organization(&may("a"), sender).await.unwrap(), 0);
}

async fn nothing_is_left_of_an_organization(on: On) {
    let (opened, user) = &filled(on).await;
    let store = &opened.store;
    assert!(is_invalid(store.delete_organization(&may("a")).await), "it goes on");
    store.archive_organization(&may("a")).await.unwrap();
    assert!(is_invalid(store.delete_organization(&may("a")).await), "it ended just now");
    opened.run("UPDATE organizations SET archived_at = 7 WHERE id <> 'b'").await;
    assert!(is_invalid(store.delete_organization(&may("default")).await));
    let num_lines = told(opened).await.len() as u64;
    assert_eq!(store.delete_organization(&may("a")).await.unwrap(), num_lines);
    assert!(is_missing(store.delete_organization(&may("a")).await));
    assert_eq!(opened.count(LEFT).await, 0);
    assert_eq!(actions(store, "default").await.last().unwrap(), "organization.deleted");
    // Others have all that they had, and people stay.
    assert_eq!(store.used("b").await.unwrap().0, 253);
    assert!(store.user(&user.id).await.is_ok());
    assert!(store.project(&may::<permission::ReadProjects>("b"), "p").await.is_ok());
    // The id is free, and begins anew.
    store.create_organization(&may("a"), "Another").await.unwrap();
    assert_eq!(actions(store, "a").await, ["organization.created"]);
}

const LEFT: &str = "SELECT (SELECT COUNT(*) FROM audit_log WHERE organization_id = 'a')
    + (SELECT COUNT(*) FROM audit_heads WHERE organization_id = 'a')
    + (SELECT COUNT(*) FROM keys WHERE organization_id = 'a')
    + (SELECT COUNT(*) FROM key_secrets WHERE organization_id = 'a')
    + (SELECT COUNT(*) FROM prices WHERE organization_id = 'a')
    + (SELECT COUNT(*) FROM ledger WHERE organization_id = 'a')
    + (SELECT COUNT(*) FROM usage_sums WHERE organization_id = 'a')
    + (SELECT COUNT(*) FROM outbox WHERE organization_id = 'a')
    + (SELECT COUNT(*) FROM billing_spans WHERE organization_id = 'a')
    + (SELECT COUNT(*) FROM memberships WHERE organization_id = 'a')
    + (SELECT COUNT(*) FROM responses WHERE tenant = 'a')
    + (SELECT COUNT(*) FROM conversation_items WHERE tenant = 'a')
    + (SELECT COUNT(*) FROM completion_metadata WHERE tenant = 'a')";

/// Whatever table a later change brings: a backup has all of them.
async fn nothing_is_left_of_a_person_but_an_id(on: On) {
    let (opened, user) = &filled(on).await;
    let store = &opened.store;
    store.set_password(&user.id, "MARK-password").await.unwrap();
    store.begin_totp(&user.id, "MARK-totp").await.unwrap();
    store.enable_totp(&user.id, 1, &["MARK-code".to_owned()]).await.unwrap();
    store.link_identity(&user.id, "https://a.example", "MARK-subject").await.unwrap();
    store.put_user_token("MARK-token", &user.id, "reset", &user.email, i64::MAX).await.unwrap();
    let marks = ["password", "totp", "code", "subject", "token"].map(|it| format!("MARK-{it}"));
    let before = dumped(opened).await;
    for mark in marks.iter().chain([&user.email, &user.id]) {
        assert!(before.contains(mark.as_str()), "{mark} is looked for in vain");
    }
    let exported = store.export_user(&user.id).await.unwrap();
    assert!(exported.contains("MARK-subject") && exported.contains(user.email.as_str()));
    store.delete_user(&user.id).await.unwrap();
    let after = dumped(opened).await;
    for mark in marks.iter().chain([&user.email]) {
        assert!(!after.contains(mark.as_str()), "{mark} is left");
    }
    // What names the id still: lines of logs, and keys that were revoked.
    let named = after.matches(user.id.as_str()).count();
    let logged = opened.count(
        "SELECT COUNT(*) FROM audit_log WHERE detail LIKE '%user-%' OR target LIKE 'user-%'
            OR actor LIKE 'user:user-%'",
    );
    assert!(named > 0 && logged.await > 0);
    assert_eq!(
        opened.count("SELECT COUNT(*) FROM memberships WHERE user_id LIKE 'user%'").await,
        0
    );
}

async fn the_currency_changes_only_while_nothing_has_an_amount(on: On) {
    let opened = populated(on).await;
    let store = &opened.store;
    let [eur, jpy]: [Currency; 2] = ["eur", "JPY"].map(|code| code.parse().unwrap());
    assert_eq!(store.currency().await.unwrap(), Currency::default());
    store.set_currency(&may("a"), eur).await.unwrap();
    assert_eq!(store.currency().await.unwrap(), eur);
    assert_eq!(actions(store, "a").await.last().unwrap(), "organization.updated");
    // What costs nothing has no amount.
    let mut free = ledger::entry("r0", ledger::NOON);
    free.cost = server_metering::Picos::new(0);
    store.append_to_ledger(&[free]).await.unwrap();
    store.set_currency(&may("a"), jpy).await.unwrap();
    let budgets =
        vec![server_accounts::BudgetData { period: "month".to_owned(), amount: "5".to_owned() }];
    let limits = LimitsData { budgets, ..LimitsData::default() };
    store.set_project_limits(&may("b"), "q", &limits).await.unwrap();
    assert!(is_invalid(store.set_currency(&may("a"), eur).await));
    store.set_project_limits(&may("b"), "q", &LimitsData::default()).await.unwrap();
    store.set_currency(&may("a"), eur).await.unwrap();
    store.append_to_ledger(&[ledger::entry("r1", ledger::NOON)]).await.unwrap();
    assert!(is_invalid(store.set_currency(&may("a"), jpy).await));
    store.set_currency(&may("a"), eur).await.unwrap();
    assert_eq!(store.currency().await.unwrap(), eur);
}
