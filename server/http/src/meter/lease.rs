//! Permits, where other servers have the same limits: what this one lacks is asked for first.

use std::time::Duration;

use server_metering::{Ask, Meters, Path, Permit, Refusal};
use tokio::time::sleep;

/// How often is asked for the same request: others that ask at once may take what was just lent.
const MAX_LEASES: u32 = 16;

/// How often, and how long, a request waits that would be let in if other servers needed nothing of
/// what they have reserved: they say so within some tens of milliseconds of an answer's end.
const MAX_WAITS: u32 = 3;
const WAIT: Duration = Duration::from_millis(120);

/// A permit for what is asked.
pub(super) async fn admit(meters: &Meters, path: &Path, ask: Ask) -> Result<Permit, Refusal> {
    let (mut num_leases, mut num_waits) = (0, 0);
    loop {
        let admitted = meters.admit(path, &ask);
        if let Err(refusal) = &admitted
            && num_waits < MAX_WAITS
            && is_only_held(refusal)
            && meters.may_get_more(path)
        {
            num_waits += 1;
            sleep(WAIT).await;
            continue;
        }
        if num_leases >= MAX_LEASES || !matches!(admitted, Err(Refusal::NotLent)) {
            return admitted;
        }
        num_leases += 1;
        meters.lease(path, &ask).await?;
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
