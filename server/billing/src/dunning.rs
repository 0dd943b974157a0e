//! What happens to who does not pay: reminders, then no service, and service again.
//!
//! Invariant: a reminder goes out once, the last that is due where several are; who has paid all
//! that is past due is restored at once, whatever the clock says.

use serde::{Deserialize, Serialize};

use crate::ids::InvoiceId;
use crate::state::BillingState;
use crate::time::{SECS_PER_DAY, UnixSeconds};

const MAX_REMINDERS: usize = 16;
const MAX_DAYS: u32 = 366;

/// After how many days what happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Schedule {
    reminder_days: Vec<u32>,
    suspend_after_days: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    reminder_days: Vec<u32>,
    suspend_after_days: u32,
}

/// A schedule cannot be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "reminder days are up to {MAX_REMINDERS} numbers, each larger than the one before, and no day \
     is over {MAX_DAYS}"
)]
pub struct ScheduleError;

/// How far it went with an organization.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dunning {
    since: Option<UnixSeconds>,
    num_reminders: u32,
    is_suspended: bool,
}

/// What an organization is to be told, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Notice {
    /// An invoice is past due.
    Reminder {
        /// Which one this is, from 1.
        number: u32,
        /// What is to be paid.
        invoice: InvoiceId,
        /// Since when.
        since: UnixSeconds,
        /// When service ends.
        suspended_at: UnixSeconds,
    },
    /// Service has ended, until it is paid.
    Suspended {
        /// What is to be paid.
        invoice: InvoiceId,
        /// Since when.
        since: UnixSeconds,
    },
    /// Service is back.
    Restored,
}

impl Schedule {
    /// Reminders after so many days, and an end of service.
    ///
    /// # Errors
    /// If the days are not in order, or too many, or too far.
    pub fn new(reminder_days: Vec<u32>, suspend_after_days: u32) -> Result<Self, ScheduleError> {
        let are_ordered = reminder_days.is_sorted_by(|before, after| before < after);
        let last = reminder_days.iter().copied().chain([suspend_after_days]).max();
        match are_ordered && reminder_days.len() <= MAX_REMINDERS && last <= Some(MAX_DAYS) {
            true => Ok(Self { reminder_days, suspend_after_days }),
            false => Err(ScheduleError),
        }
    }

    fn reminder_at(&self, since: UnixSeconds, sent: u32) -> Option<UnixSeconds> {
        let days = self.reminder_days.get(usize::try_from(sent).ok()?)?;
        Some(since.plus(u64::from(*days) * SECS_PER_DAY))
    }

    fn suspend_at(&self, since: UnixSeconds) -> UnixSeconds {
        since.plus(u64::from(self.suspend_after_days) * SECS_PER_DAY)
    }
}

/// Reminders after 1, 3 and 7 days, no service after 14.
impl Default for Schedule {
    fn default() -> Self {
        Self { reminder_days: vec![1, 3, 7], suspend_after_days: 14 }
    }
}

impl TryFrom<Unchecked> for Schedule {
    type Error = ScheduleError;

    fn try_from(days: Unchecked) -> Result<Self, ScheduleError> {
        Self::new(days.reminder_days, days.suspend_after_days)
    }
}

impl Dunning {
    pub(crate) fn since(&self) -> Option<UnixSeconds> {
        self.since
    }

    pub(crate) fn num_reminders(&self) -> u32 {
        self.num_reminders
    }

    pub(crate) fn is_suspended(&self) -> bool {
        self.is_suspended
    }
}

impl BillingState {
    /// Brings dunning to where it is to be now; what is to be told of that.
    #[must_use]
    pub fn tick(&mut self, schedule: &Schedule, now: UnixSeconds) -> Vec<Notice> {
        let was_suspended = self.dunning.is_suspended;
        let Some((since, invoice)) = self.past_due(now) else {
            self.dunning = Dunning::default();
            return if was_suspended { vec![Notice::Restored] } else { Vec::new() };
        };
        if self.dunning.since != Some(since) {
            // Of what became past due later, nothing was said yet; of what did before, enough was.
            let is_later = self.dunning.since.is_none_or(|before| before < since);
            let num_reminders = if is_later { 0 } else { self.dunning.num_reminders };
            self.dunning = Dunning { since: Some(since), num_reminders, is_suspended: false };
        }
        let suspended_at = schedule.suspend_at(since);
        self.dunning.is_suspended |= suspended_at <= now;
        let is_due = |sent| schedule.reminder_at(since, sent).is_some_and(|at| at <= now);
        let is_reminder_due = is_due(self.dunning.num_reminders);
        while is_due(self.dunning.num_reminders) {
            self.dunning.num_reminders += 1;
        }
        match (was_suspended, self.dunning.is_suspended) {
            (false, true) => vec![Notice::Suspended { invoice, since }],
            (true, true) => Vec::new(),
            (true, false) => vec![Notice::Restored],
            (false, false) if is_reminder_due => {
                let number = self.dunning.num_reminders;
                vec![Notice::Reminder { number, invoice, since, suspended_at }]
            }
            (false, false) => Vec::new(),
        }
    }

    /// When [`Self::tick`] has something to do next, if no event comes before.
    #[must_use]
    pub fn next_tick(&self, schedule: &Schedule) -> Option<UnixSeconds> {
        let all = self.invoices.iter().filter_map(|(_, invoice)| invoice.past_due_from());
        let first = all.min()?;
        if self.dunning.since != Some(first) {
            return Some(first);
        }
        let reminder = schedule.reminder_at(first, self.dunning.num_reminders);
        // Who is suspended is not reminded.
        let suspension = (!self.dunning.is_suspended).then(|| schedule.suspend_at(first))?;
        Some(reminder.map_or(suspension, |reminder| reminder.min(suspension)))
    }

    /// The invoice that is past due for the longest, and since when.
    fn past_due(&self, now: UnixSeconds) -> Option<(UnixSeconds, InvoiceId)> {
        let all = self.invoices.iter().filter_map(|(id, invoice)| {
            let from = invoice.past_due_from()?;
            // A payment that has failed has, whatever this machine's clock says.
            (from <= now || !invoice.is_paid_by_hand()).then(|| (from, id.clone()))
        });
        all.min()
    }
}
