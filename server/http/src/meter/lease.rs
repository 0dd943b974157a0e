//! Permits, where other servers have the same limits: what this one lacks is asked for first.

use std::sync::Arc;

use server_metering::{Ask, Meters, Path, Permit, Refusal};
use tokio::task::spawn_blocking;

use crate::ApiError;

/// How often is asked for the same request: others that ask at once may take what was just lent.
const MAX_LEASES: u32 = 16;

/// A permit for what is asked; `waits` says whether it waits for the disk.
pub(super) async fn admit(
    meters: &Meters,
    path: &Path,
    ask: Ask,
    waits: bool,
) -> Result<Result<Permit, Refusal>, ApiError> {
    let ask = Arc::new(ask);
    let mut num_leases = 0;
    loop {
        let admitted = if waits {
            let (meters, path, ask) = (meters.clone(), path.clone(), Arc::clone(&ask));
            let admitted = spawn_blocking(move || meters.admit(&path, &ask)).await;
            admitted.map_err(|_| ApiError::internal())?
        } else {
            meters.admit(path, &ask)
        };
        if num_leases >= MAX_LEASES || !matches!(admitted, Err(Refusal::NotLent)) {
            return Ok(admitted);
        }
        num_leases += 1;
        if let Err(refusal) = meters.lease(path, &ask).await {
            return Ok(Err(refusal));
        }
    }
}
