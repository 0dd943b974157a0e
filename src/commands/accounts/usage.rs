//! `agentbase usage`.

use std::path::Path;

use anyhow::{Result, bail};
use serde_json::{Value, json};
use server_accounts::Currency;
use server_metering::{Meter, Micros, Picos};
use server_store::{GroupBy, UsageFilter, UsageGroup, UsageQuery, UsageTotal};

use crate::accounts::{allowed, open, open_of};
use crate::cli::{UsageArgs, UsageBy, UsageCommand};
use crate::table::Table;
use crate::when::{Shown, now_ms};

/// Shows what was used.
///
/// # Errors
/// If the time is none, or the database fails.
pub(in crate::commands) async fn run(args: UsageArgs, data_dir: &Path) -> Result<()> {
    if let Some(UsageCommand::Prune { before, database }) = args.command {
        let store = open(&database, data_dir).await?;
        let num = store.prune_ledger(&allowed("")?, before.before(now_ms())).await?;
        return outln!("deleted {num} lines of the ledger");
    }
    let now = now_ms();
    let store = open_of(&args.org, data_dir).await?;
    // What is not there has used nothing, and is most likely mistyped.
    if let Some(key) = &args.key {
        store.key(&allowed(&args.org.org)?, key).await?;
    }
    if let Some(project) = &args.project {
        store.project(&allowed(&args.org.org)?, project).await?;
    }
    let list = |value: Option<String>| value.into_iter().collect();
    let filter = UsageFilter {
        keys: list(args.key),
        projects: list(args.project),
        models: list(args.model),
        ..UsageFilter::default()
    };
    let (since, until) = (args.since.map(|it| it.before(now)), args.until.map(|it| it.before(now)));
    check_times(since, until, now)?;
    // What is settled this very moment, too.
    let (since, until) = (since.unwrap_or(0), until.unwrap_or(now + 1));
    let query = UsageQuery { since, until, filter };
    let (may, currency) = (allowed(&args.org.org)?, store.currency().await?);
    let Some(by) = args.by else {
        return tell(&store.usage(&may, &query).await?, currency, args.json);
    };
    let groups = store.usage_by(&may, &query, &[group(by)]).await?;
    if args.json {
        let groups: Vec<Value> = groups
            .iter()
            .map(|group| {
                let mut line = as_json(&group.total, currency);
                line[heading(by).to_lowercase()] = json!(name(group, by));
                line
            })
            .collect();
        return outln!("{}", serde_json::to_string_pretty(&groups)?);
    }
    let mut table = Table::new([heading(by), "REQUESTS", "INPUT", "CACHED", "OUTPUT", "COST"]);
    for group in &groups {
        let line = Line::of(&group.total);
        let [requests, input, cached, output] =
            [line.requests, line.input, line.cached, line.output].map(|number| number.to_string());
        table.push([
            name(group, by).unwrap_or("-").to_owned(),
            requests,
            input,
            cached,
            output,
            format!("{} {currency}", line.cost),
        ]);
    }
    table.print("nothing was used in this time")
}

/// That a report is of a time that began, in Unix milliseconds.
fn check_times(since: Option<i64>, until: Option<i64>, now: i64) -> Result<()> {
    match since {
        Some(since) if since >= until.unwrap_or(now + 1) => {
            let end = until.map_or("now".to_owned(), |until| format!("--until, {}", Shown(until)));
            bail!(
                "--since, {}, is not earlier than {end} (UTC): give an earlier time",
                Shown(since)
            )
        }
        _ => Ok(()),
    }
}

/// What is told of a total.
struct Line {
    requests: u64,
    /// With those that were cached, as OpenAI's API counts.
    input: u64,
    cached: u64,
    output: u64,
    cost: Micros,
}

impl Line {
    fn of(total: &UsageTotal) -> Self {
        let cached = total.usage.get(Meter::CachedInputTokens);
        Self {
            requests: total.num_requests,
            input: total.usage.get(Meter::InputTokens).saturating_add(cached),
            cached,
            output: total.usage.get(Meter::OutputTokens),
            cost: rounded(total.cost),
        }
    }
}

fn tell(total: &UsageTotal, currency: Currency, json: bool) -> Result<()> {
    if json {
        return outln!("{}", as_json(total, currency));
    }
    let line = Line::of(total);
    outln!("requests       {}", line.requests)?;
    outln!("input tokens   {} ({} of them cached)", line.input, line.cached)?;
    outln!("output tokens  {}", line.output)?;
    for (meter, units) in total.usage.counts().filter(|(meter, _)| !is_told(*meter)) {
        outln!("{:14} {units}", meter.name().replace('_', " "))?;
    }
    outln!("cost           {} {currency}", line.cost)
}

fn as_json(total: &UsageTotal, currency: Currency) -> Value {
    let line = Line::of(total);
    let mut json = json!({
        "requests": line.requests,
        "input_tokens": line.input,
        "cached_input_tokens": line.cached,
        "output_tokens": line.output,
        // Exact to a micro-unit up to 9 thousand millions.
        "cost": line.cost.get() as f64 / 1e6,
        "currency": currency.code(),
    });
    for (meter, units) in total.usage.counts().filter(|(meter, _)| !is_told(*meter)) {
        json[meter.name()] = units.into();
    }
    json
}

/// Whether a meter has a line of its own.
fn is_told(meter: Meter) -> bool {
    matches!(meter, Meter::InputTokens | Meter::CachedInputTokens | Meter::OutputTokens)
}

fn rounded(cost: Picos) -> Micros {
    cost.round_up().unwrap_or(Micros::MAX)
}

fn group(by: UsageBy) -> GroupBy {
    match by {
        UsageBy::Key => GroupBy::Key,
        UsageBy::Project => GroupBy::Project,
        UsageBy::Model => GroupBy::Model,
        UsageBy::Endpoint => GroupBy::Endpoint,
        UsageBy::Tag => GroupBy::Tag,
    }
}

fn name(group: &UsageGroup, by: UsageBy) -> Option<&str> {
    let name = match by {
        UsageBy::Key => &group.key,
        UsageBy::Project => &group.project,
        UsageBy::Model => &group.model,
        UsageBy::Endpoint => &group.endpoint,
        UsageBy::Tag => &group.tag,
    };
    name.as_deref()
}

fn heading(by: UsageBy) -> &'static str {
    match by {
        UsageBy::Key => "KEY",
        UsageBy::Project => "PROJECT",
        UsageBy::Model => "MODEL",
        UsageBy::Endpoint => "ENDPOINT",
        UsageBy::Tag => "TAG",
    }
}
