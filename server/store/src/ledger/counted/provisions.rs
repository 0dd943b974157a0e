//! Throughput that is held ready for a project, billed by the hour.
//!
//! Invariant: no hour that is over is billed afterwards: a provision begins with the present hour
//! at the earliest, and ends with it at the earliest.

use serde_json::json;
use server_accounts::{Allowed, Kind, may, new_id};
use server_metering::ModelId;

use super::{MAX_EACH, check_span};
use crate::accounts::audit;
use crate::accounts::check::{self, not_found};
use crate::accounts::list::{List, Part};
use crate::accounts::projects::check_active;
use crate::database::{millis, now};
use crate::ledger::error::BillingError;
use crate::ledger::filter::MILLIS_PER_HOUR;
use crate::page::{Page, PageQuery};
use crate::sql::{execute, query};
use crate::{Store, StoreError};

const WHAT: &str = "provision";
/// With it no hour costs more than a line of the ledger can say, at any price.
const MAX_UNITS: u64 = 1_000;
const COLUMNS: &str = "organization_id, id, project_id, model, units, from_hour, until_hour,
    created_at";
const NUM: &str = "SELECT COUNT(*) FROM provisions WHERE organization_id = $1
    AND (until_hour IS NULL OR until_hour > $2)";
const INSERT: &str = "INSERT INTO provisions (organization_id, id, project_id, model, units,
    from_hour, until_hour, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
/// One that did not begin is no more.
const END: &str = "UPDATE provisions
    SET until_hour = CASE WHEN from_hour > $3 THEN from_hour ELSE $3 END
    WHERE organization_id = $1 AND id = $2 AND (until_hour IS NULL OR until_hour > $3)";

type Row = (String, String, String, String, i64, i64, Option<i64>, i64);

/// Throughput to be held ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewProvision<'a> {
    /// The project that it is for.
    pub project: &'a str,
    /// The model, as its prices name it.
    pub model: &'a str,
    /// How much of it, 1 to 1,000.
    pub units: u64,
    /// From when on, Unix milliseconds; the hour that this is in is billed whole. Without it, now.
    pub from: Option<i64>,
    /// Until when, if it ends; the hour that this is in is billed whole, too.
    pub until: Option<i64>,
}

/// Throughput that is held ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provision {
    /// Its organization.
    pub organization: String,
    /// Its id.
    pub id: String,
    /// The project that it is for.
    pub project: String,
    /// The model, as its prices name it.
    pub model: String,
    /// How much of it.
    pub units: u64,
    /// Its first moment, Unix milliseconds.
    pub from: i64,
    /// The first moment after it, if there is one.
    pub until: Option<i64>,
    /// Unix time in seconds.
    pub created_at: i64,
}

impl Store {
    /// Holds throughput ready, which is billed for each hour.
    ///
    /// # Errors
    /// If it is none, would be in the past, or there is no such project; beyond 100 of an
    /// organization.
    pub async fn create_provision(
        &self,
        allowed: &Allowed<may::WriteBilling>,
        new: &NewProvision<'_>,
    ) -> Result<Provision, StoreError> {
        let organization = check::whole(allowed)?;
        ModelId::new(new.model).map_err(BillingError::from)?;
        if !(1..=MAX_UNITS).contains(&new.units) {
            return Err(StoreError::invalid("units", format!("give 1 to {MAX_UNITS}")));
        }
        let units = i64::try_from(new.units).unwrap_or(i64::MAX);
        let present = millis() / MILLIS_PER_HOUR;
        let from = new.from.map_or(present, |from| from.div_euclid(MILLIS_PER_HOUR));
        if from < present {
            return Err(BillingError::Past { what: WHAT }.into());
        }
        let until = new.until.map(|until| until.saturating_add(MILLIS_PER_HOUR - 1));
        let until = until.map(|until| until.div_euclid(MILLIS_PER_HOUR));
        check_span(WHAT, from, until)?;
        let (id, project, model) = (new_id(Kind::Provision), new.project, new.model);
        let row: Row = (
            organization.to_owned(),
            id.clone(),
            project.to_owned(),
            model.to_owned(),
            units,
            from,
            until,
            now(),
        );
        let detail = json!({ "data": {
            "model": model, "units": units, "from_hour": from, "until_hour": until,
        } });
        let event = audit::event("provision.created", &id, Some(project), detail);
        let work = async {
            let mut transaction = self.write(organization).await?;
            check_active(&mut transaction, allowed, project).await?;
            let (num,): (i64,) = query!(&mut transaction, fetch_one, NUM, organization, present)?;
            if num >= MAX_EACH {
                let max = MAX_EACH.unsigned_abs();
                return Err(StoreError::TooMany { what: "organization's provisions", max });
            }
            let into = &mut transaction;
            execute!(into, INSERT, organization, id, project, model, units, from, until, row.7)?;
            audit::commit(transaction, allowed, event).await?;
            Ok(read(row))
        };
        self.in_time(work).await
    }

    /// Ends one with the present hour, or before it begins.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none that lasts longer.
    pub async fn end_provision(
        &self,
        allowed: &Allowed<may::WriteBilling>,
        id: &str,
    ) -> Result<Provision, StoreError> {
        let organization = check::whole(allowed)?;
        let until = millis() / MILLIS_PER_HOUR + 1;
        let event = audit::event("provision.ended", id, None, json!({ "until_hour": until }));
        let work = async {
            let mut transaction = self.write(organization).await?;
            if execute!(&mut transaction, END, organization, id, until)? == 0 {
                return Err(not_found(WHAT, id));
            }
            let ended = list(organization).one(&mut transaction, id).await?;
            audit::commit(transaction, allowed, event).await?;
            Ok(read(ended))
        };
        self.in_time(work).await
    }

    /// A page of them, those that ended, too, in the order they were made in.
    ///
    /// # Errors
    /// [`StoreError::NotListed`] if the one that the page comes after is not there.
    pub async fn provisions(
        &self,
        allowed: &Allowed<may::ReadBilling>,
        query: &PageQuery,
    ) -> Result<Page<Provision>, StoreError> {
        let organization = check::whole(allowed)?;
        let size = |row: &Row| row.2.len() + row.3.len() + size_of::<Row>();
        Ok(self.page_of(organization, &list(organization), query, size).await?.map(read))
    }
}

fn list(organization: &str) -> List {
    let scope = Part::default().sql("organization_id = ").text(organization);
    let (table, order, filter) = ("provisions", "created_at", Part::default());
    List { what: WHAT, columns: COLUMNS, table, order, scope, filter }
}

fn read(row: Row) -> Provision {
    let (organization, id, project, model, units, from, until, created_at) = row;
    let moment = |hour: i64| hour.saturating_mul(MILLIS_PER_HOUR);
    let (units, from) = (units.unsigned_abs(), moment(from));
    let until = until.map(moment);
    Provision { organization, id, project, model, units, from, until, created_at }
}
