//! `agentbase price …`.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};
use server_accounts::{Currency, DEFAULT, PriceListData, TariffData};
use server_metering::{Meter, Micros};
use server_store::{BillingError, NewPrice, PriceFilter, PriceList, StoreError};

use super::known;
use crate::accounts::{allowed, open, open_of};
use crate::cli::{PriceArgs, PriceCommand};
use crate::table::Table;
use crate::when::{Shown, check_end, now_ms, seconds};

/// A list is small; anything larger is a mistake.
const MAX_FILE_BYTES: u64 = 1 << 20;
const PER_MILLION: i64 = 1_000_000;
const MILLIS_PER_SECOND: i64 = 1_000;
const MILLIONS_PER_GB: i64 = 1_000;

/// Runs the chosen subcommand.
///
/// # Errors
/// If the prices are none or hold at the time of others, or the database fails.
pub(in crate::commands) async fn run(command: PriceCommand, data_dir: &Path) -> Result<()> {
    match command {
        PriceCommand::Set(args) => set(&args, data_dir).await,
        PriceCommand::List { json, org } => {
            let store = open_of(&org, data_dir).await?;
            let (may, filter) = (allowed(&org.org)?, PriceFilter::default());
            let read = async |page| store.prices(&may, &filter, &page).await;
            let lists = super::all(read, |it: &PriceList| it.id.as_str()).await?;
            list(&lists, store.currency().await?, json)
        }
        PriceCommand::Currency { code, database } => {
            let store = open(&database, data_dir).await?;
            if let Some(code) = code {
                store.set_currency(&allowed(DEFAULT)?, code).await?;
            }
            outln!("{}", store.currency().await?)
        }
        PriceCommand::Remove { id, org } => {
            let store = open_of(&org, data_dir).await?;
            store.remove_price(&allowed(&org.org)?, &id).await?;
            outln!("removed {id}")
        }
    }
}

async fn set(args: &PriceArgs, data_dir: &Path) -> Result<()> {
    let list = price_list(args)?;
    let now = now_ms();
    let (from, until) = (args.from.map(|it| it.after(now)), args.until.map(|it| it.after(now)));
    check_end(from, until, now)?;
    let new = NewPrice {
        organization: args.org.as_deref(),
        model: &args.model,
        tier: &args.tier,
        valid_from: from.unwrap_or(now),
        valid_until: until,
        list,
    };
    let store = open(&args.database, data_dir).await?;
    let organization = args.org.as_deref().unwrap_or(DEFAULT);
    store.organization(&allowed(organization)?).await?;
    let set = store.set_price(&allowed(organization)?, &new).await.map_err(readable)?;
    let until = set.valid_until.map_or(String::new(), |until| format!(" until {}", Shown(until)));
    let (from, prices) = (Shown(set.valid_from), shown(&set.list));
    let (id, currency) = (&set.id, store.currency().await?);
    outln!("{id}: {} ({}) from {from}{until}: {prices} {currency}", set.model, set.tier)?;
    known::warn_of_prices(&store, data_dir, &set.model).await
}

/// An error with its time as people read it.
fn readable(error: StoreError) -> anyhow::Error {
    match error {
        StoreError::Billing(BillingError::Overlap { id, model, tier, from }) => anyhow!(
            "the price list '{id}' of {model} ({tier}) begins at {} (UTC): let this one end by \
             then with --until, or take that one away with `agentbase price remove {id}`",
            Shown(from)
        ),
        error => error.into(),
    }
}

fn price_list(args: &PriceArgs) -> Result<PriceListData> {
    if let Some(file) = &args.file {
        let shown = file.display();
        let size = file.metadata().with_context(|| format!("cannot read {shown}"))?.len();
        if size > MAX_FILE_BYTES {
            bail!("{shown} is too large to be a price list");
        }
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
        let list = PriceListData::parse(&text).with_context(|| shown.to_string())?;
        return priced(list);
    }
    let mut list = PriceListData::flat([]);
    for (meter, price, scale, free_units) in [
        (Meter::InputTokens, &args.input, 1, args.free_input),
        (Meter::CachedInputTokens, &args.cached_input, 1, None),
        (Meter::OutputTokens, &args.output, 1, args.free_output),
        (Meter::EmbeddingTokens, &args.embedding, 1, None),
        (Meter::Images, &args.image, PER_MILLION, None),
        (Meter::AudioMillis, &args.audio_second, PER_MILLION / MILLIS_PER_SECOND, None),
        (Meter::ComputeMillis, &args.compute_second, PER_MILLION / MILLIS_PER_SECOND, None),
        (Meter::ProvisionedHours, &args.provisioned_hour, PER_MILLION, None),
    ] {
        let Some(price) = price else { continue };
        let free_units = free_units.unwrap_or(0);
        let price = Some(scaled(price, scale)?);
        let tariff = TariffData { price, free_units, ..TariffData::default() };
        list.meters.insert(meter.to_string(), tariff);
    }
    if let Some(price) = &args.storage_gb_hour {
        let tariff = TariffData { price: Some(of_storage(price)?), ..TariffData::default() };
        list.meters.insert(Meter::StorageByteHours.to_string(), tariff);
    }
    priced(list)
}

/// A list with a price at least.
fn priced(list: PriceListData) -> Result<PriceListData> {
    if list.meters.is_empty() {
        bail!("nothing has a price: give --input and --output, or what else the model counts");
    }
    Ok(list)
}

/// The price of a million units, of the price of fewer.
fn scaled(price: &str, scale: i64) -> Result<String> {
    let price: Micros = price.parse()?;
    let scaled = price.get().checked_mul(scale).map(Micros::new);
    Ok(scaled.context("this price is too large")?.to_string())
}

/// The price of a million bytes and hours, of that of a thousand million.
fn of_storage(price: &str) -> Result<String> {
    let price: Micros = price.parse()?;
    if price.get() % MILLIONS_PER_GB != 0 {
        bail!("{price} is too fine: a gigabyte and hour costs 0.001, or a multiple of that");
    }
    Ok(Micros::new(price.get() / MILLIONS_PER_GB).to_string())
}

fn list(lists: &[PriceList], currency: Currency, json: bool) -> Result<()> {
    if json {
        let lists: Vec<Value> = lists.iter().map(|it| as_json(it, currency)).collect();
        return outln!("{}", serde_json::to_string_pretty(&lists)?);
    }
    let mut table = Table::new(["ID", "MODEL", "TIER", "FOR", "FROM", "UNTIL", "PRICES"]);
    for it in lists {
        table.push([
            it.id.clone(),
            it.model.clone(),
            it.tier.clone(),
            it.organization.clone().unwrap_or_else(|| "all".to_owned()),
            Shown(it.valid_from).to_string(),
            it.valid_until.map_or("-".to_owned(), |until| Shown(until).to_string()),
            format!("{} {currency}", shown(&it.list)),
        ]);
    }
    table.print("no prices; set some with `agentbase price set MODEL --input X --output Y`")
}

/// `input_tokens 0.15, output_tokens 0.60/0.40`: for a million units.
/// Prices of a million units, but for what nobody uses a million of: what one costs, and a gigabyte
/// and hour.
fn shown(list: &PriceListData) -> String {
    let tariff = |(meter, tariff): (&String, &TariffData)| {
        let each = |price: &str| match (meter.parse(), price.parse::<Micros>()) {
            (Ok(Meter::ProvisionedHours | Meter::Images), Ok(of_million)) => {
                Micros::new(of_million.get() / PER_MILLION).to_string()
            }
            (Ok(Meter::StorageByteHours), Ok(of_million)) => {
                Micros::new(of_million.get().saturating_mul(MILLIONS_PER_GB)).to_string()
            }
            _ => price.to_owned(),
        };
        let meter = match meter.parse() {
            Ok(Meter::ProvisionedHours) => "provisioned_hour",
            Ok(Meter::Images) => "image",
            Ok(Meter::StorageByteHours) => "storage_gb_hour",
            _ => meter,
        };
        let steps = tariff.steps.iter().map(|step| step.price.as_str());
        let prices = tariff.price.as_deref().into_iter().chain(steps);
        let prices: Vec<String> = prices.map(each).collect();
        let free = match tariff.free_units {
            0 => String::new(),
            units => format!(" after {units} free a {}", list.period),
        };
        format!("{meter} {}{free}", prices.join("/"))
    };
    list.meters.iter().map(tariff).collect::<Vec<_>>().join(", ")
}

fn as_json(it: &PriceList, currency: Currency) -> Value {
    json!({
        "id": it.id,
        "model": it.model,
        "tier": it.tier,
        "organization": it.organization,
        "valid_from": seconds(it.valid_from),
        "valid_until": it.valid_until.map(seconds),
        "prices": it.list,
        "currency": currency.code(),
    })
}
