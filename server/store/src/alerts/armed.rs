//! Alerts of all organizations, with the limits that they watch.

use server_accounts::LimitsData;

use super::rules::{self, Alert, Row};
use crate::accounts::check::unreadable;
use crate::sql::query;
use crate::{Store, StoreError};

/// The limits of the account that an alert is on; none where that is no more.
const ARMED: &str = "SELECT a.organization_id, a.id, a.project_id, a.key_id, a.what, a.period,
    a.thresholds, a.by_webhook, a.addresses, a.created_at,
    CASE WHEN a.key_id IS NOT NULL THEN k.limits WHEN a.project_id IS NOT NULL THEN p.limits
        ELSE o.limits END
    FROM alerts AS a JOIN organizations AS o ON o.id = a.organization_id AND o.archived_at IS NULL
    LEFT JOIN projects AS p ON p.organization_id = a.organization_id AND p.id = a.project_id
        AND p.archived_at IS NULL
    LEFT JOIN keys AS k ON k.organization_id = a.organization_id AND k.id = a.key_id
        AND k.revoked_at IS NULL
    WHERE (a.organization_id, a.id) > ($1, $2) ORDER BY a.organization_id, a.id LIMIT $3";

/// An alert, and the limits of the account that it is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArmedAlert {
    /// The alert.
    pub alert: Alert,
    /// As they are now; none, where the account is no more.
    pub limits: LimitsData,
}

/// A part of all alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArmedAlerts {
    /// Those that this version understands.
    pub alerts: Vec<ArmedAlert>,
    /// The organization and the id that the next part comes after; none after the last part.
    pub next: Option<(String, String)>,
}

type ArmedRow = (
    String,
    String,
    Option<String>,
    Option<String>,
    String,
    String,
    String,
    i64,
    String,
    i64,
    Option<String>,
);

fn read(row: ArmedRow) -> Result<ArmedAlert, StoreError> {
    let (a, id, c, d, e, f, g, h, i, j, limits) = row;
    let row: Row = (a, id, c, d, e, f, g, h, i, j);
    let alert = rules::read(row)?;
    let limits = limits.map_or(Ok(LimitsData::default()), |limits| LimitsData::parse(&limits));
    let limits = limits.map_err(|error| unreadable(rules::WHAT, &alert.id, error))?;
    Ok(ArmedAlert { alert, limits })
}

impl Store {
    /// At most `max` alerts of all organizations that come after one, by organization and id.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn armed_alerts(
        &self,
        (organization, id): (&str, &str),
        max: u32,
    ) -> Result<ArmedAlerts, StoreError> {
        let work = async {
            let mut transaction = self.read_every().await?;
            let limit = i64::from(max);
            let rows: Vec<ArmedRow> =
                query!(&mut transaction, fetch_all, ARMED, organization, id, limit)?;
            let last = rows.last().filter(|_| rows.len() >= max as usize);
            let next = last.map(|row| (row.0.clone(), row.1.clone()));
            let mut alerts = Vec::with_capacity(rows.len());
            for row in rows {
                match read(row) {
                    Ok(alert) => alerts.push(alert),
                    Err(error) => tracing::warn!(%error, "this alert is left out"),
                }
            }
            Ok(ArmedAlerts { alerts, next })
        };
        self.in_time(work).await
    }
}
