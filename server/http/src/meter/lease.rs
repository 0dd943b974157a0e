//! Permits, where other servers have the same limits: what this one lacks is asked for first.

use std::sync::Arc;
use std::time::Duration;

use server_metering::{Ask, Meters, Path, Permit, Refusal};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::ApiError;

/// How often is asked for the same request: others that ask at once may take what was just lent.
const MAX_LEASES: u32 = 16;

/// How often, and how long, a request waits that would be let in if other servers needed nothing of
/// what they have reserved: they say so within some tens of milliseconds of an answer's end.
const MAX_WAITS: u32 = 3;
const WAIT: Duration = Duration::from_millis(120);

/// A permit for what is asked; `waits` says whether it waits for the disk.
pub(super) async fn admit(
    meters: &Meters,
    path: &Path,
    ask: Ask,
    waits: bool,
) -> Result<Result<Permit, Refusal>, ApiError> {
    let ask = Arc::new(ask);
    let (mut num_leases, mut num_waits) = (0, 0);
    loop {
        let admitted = if waits {
            let (meters, path, ask) = (meters.clone(), path.clone(), Arc::clone(&ask));
            let admitted = spawn_blocking(move || meters.admit(&path, &ask)).await;
            admitted.map_err(|_| ApiError::internal())?
        } else {
            meters.admit(path, &ask)
        };
        if let Err(refusal) = &admitted
            && num_waits < MAX_WAITS
            && is_only_held(refusal)
            && meters.is_elsewhere(path)
        {
            num_waits += 1;
            sleep(WAIT).await;
            continue;
        }
        if num_leases >= MAX_LEASES || !matches!(admitted, Err(Refusal::NotLent)) {
            return Ok(admitted);
        }
        num_leases += 1;
        if let Err(refusal) = meters.lease(path, &ask).await {
            return Ok(Err(refusal));
        }
    }
}

/// Whether what is missing is not used, but held.
fn is_only_held(refusal: &Refusal) -> bool {
    let is_kind = matches!(
        refusal,
        Refusal::Concurrency { .. } | Refusal::Quota { .. } | Refusal::Budget { .. }
    );
    is_kind && refusal.retry_after().is_some()
}
