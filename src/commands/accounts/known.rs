//! Whether there is a model that prices are for, and a price of what is provisioned.

use std::path::Path;

use anyhow::Result;
use model_registry::Manifest;
use server_accounts::DEFAULT;
use server_metering::{Meter, ModelId, OrganizationId, Tier, UnixMillis, Usage};
use server_store::{Provision, STORAGE, Store};

use crate::accounts::allowed;
use crate::data_dir;

/// As much of a digest as versions are named by.
const DIGEST_LEN: usize = 12;
const HOUR_MS: u64 = 3_600_000;
/// So many names are told.
const MAX_TOLD: usize = 10;

/// Warns of prices for a model that is not in this data directory and that nobody has used: by a
/// name that was mistyped nothing is charged. It is no error, since prices may come before a model.
///
/// # Errors
/// If the registry or the database fails.
pub(super) async fn warn_of_prices(store: &Store, data_dir: &Path, model: &str) -> Result<()> {
    let manifests = data_dir::registry(data_dir)?.list().await?;
    let is_known = model == STORAGE || manifests.iter().any(|it| is_of(model, it));
    if is_known || store.was_used(&allowed(DEFAULT)?, model).await? {
        return Ok(());
    }
    crate::say(&format!(
        "warning: no model here is called '{model}', and none was ever used by that name. These \
         prices are kept, but nothing is charged by them until there is one.{}",
        told(&manifests)
    ));
    Ok(())
}

/// Warns of a provision whose hours have no price when it begins: they are counted, and cost
/// nothing. It is no error, since a price may come before an hour is over.
///
/// # Errors
/// If the registry or the database fails.
pub(super) async fn warn_of_provision(
    store: &Store,
    data_dir: &Path,
    it: &Provision,
) -> Result<()> {
    if has_price(store, it).await? {
        return Ok(());
    }
    let model = &it.model;
    let manifests = data_dir::registry(data_dir)?.list().await?;
    let told = if manifests.iter().any(|it| is_of(model, it)) {
        String::new()
    } else {
        format!(" No model here is called '{model}'.{}", told(&manifests))
    };
    crate::say(&format!(
        "warning: an hour of '{model}' has no price. Hours of {} are counted, but cost nothing \
         until there is one: `agentbase price set {model} --tier {} --provisioned-hour PRICE`.\
         {told}",
        it.id,
        Tier::PROVISIONED
    ));
    Ok(())
}

/// Whether an hour of it costs something by what the organization pays when it begins.
async fn has_price(store: &Store, it: &Provision) -> Result<bool> {
    let Some(books) = store.price_books(0).await? else { return Ok(false) };
    let book = books.of(&OrganizationId::new(&it.organization)?);
    let (model, tier) = (ModelId::new(&it.model)?, Tier::new(Tier::PROVISIONED)?);
    // The hour that it begins in is billed by its last moment.
    let at = UnixMillis(it.from.unsigned_abs() + HOUR_MS - 1);
    let usage = Usage::NONE.with(Meter::ProvisionedHours, it.units);
    let quote = book.quote((&model, &tier), usage, at, Usage::NONE);
    Ok(quote.is_ok_and(|quote| !quote.lines.is_empty()))
}

/// Whether a name of prices, `NAME` or `NAME@VERSION`, is that of a model.
fn is_of(model: &str, manifest: &Manifest) -> bool {
    let name = manifest.name.as_str();
    model == name || model.rsplit_once('@') == Some((name, version(manifest)))
}

fn version(manifest: &Manifest) -> &str {
    manifest.digest.get(..DIGEST_LEN).unwrap_or(&manifest.digest)
}

fn told(manifests: &[Manifest]) -> String {
    let named = |it: &Manifest| format!("{}@{}", it.name, version(it));
    let names: Vec<String> = manifests.iter().take(MAX_TOLD).map(named).collect();
    match (names.len(), manifests.len()) {
        (0, _) => String::new(),
        (told, all) if told < all => format!(" Models here: {}, …", names.join(", ")),
        _ => format!(" Models here: {}", names.join(", ")),
    }
}
