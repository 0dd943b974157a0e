//! Sharing the tokens of one step between prompts.
//!
//! Tenants get equal shares, and what one does not need goes to the others (max-min fairness).
//! Within a tenant the oldest prompt gets half, so that it comes to its end, and the rest goes to
//! the shortest first, so that a short question does not wait for long ones.
//! Invariant: with a token for each prompt, the oldest of every tenant gets at least one, and no
//! token is left while anyone wants it.

use std::collections::BTreeMap;

use engine_core::{SeqId, TenantId};

/// A prompt under way and how much of it the step could take.
pub(super) struct Prefill {
    pub(super) seq: SeqId,
    pub(super) tenant: TenantId,
    pub(super) num_tokens: usize,
}

/// How many of `budget` tokens each prompt gets, in order of age.
pub(super) fn share(prefills: Vec<Prefill>, budget: usize) -> Vec<(SeqId, usize)> {
    let mut tenants: BTreeMap<TenantId, Vec<(SeqId, usize)>> = BTreeMap::new();
    for Prefill { seq, tenant, num_tokens } in prefills {
        tenants.entry(tenant).or_default().push((seq, num_tokens));
    }
    let mut tenants: Vec<_> = tenants.into_values().collect();
    // Whoever wants less than an equal share is served first, so its rest can be shared.
    tenants.sort_by_key(|own| own.iter().map(|(_, wanted)| wanted).sum::<usize>());
    let mut shares = Vec::new();
    let (mut left, num_tenants) = (budget, tenants.len());
    for (i, own) in tenants.into_iter().enumerate() {
        let own = share_within(own, left / (num_tenants - i));
        left -= own.iter().map(|(_, num_tokens)| num_tokens).sum::<usize>();
        shares.extend(own);
    }
    shares.sort_unstable_by_key(|(seq, _)| *seq);
    shares
}

/// Turns what each prompt of one tenant wants into what it gets.
fn share_within(mut own: Vec<(SeqId, usize)>, budget: usize) -> Vec<(SeqId, usize)> {
    own.sort_unstable_by_key(|(seq, _)| *seq);
    let Some((oldest, others)) = own.split_first_mut() else { return own };
    others.sort_by_key(|(_, wanted)| *wanted);
    let wanted_by_others: usize = others.iter().map(|(_, wanted)| wanted).sum();
    let for_oldest = budget.div_ceil(2).max(budget.saturating_sub(wanted_by_others));
    oldest.1 = oldest.1.min(for_oldest);
    let mut left = budget - oldest.1;
    for (_, num_tokens) in others {
        *num_tokens = left.min(*num_tokens);
        left -= *num_tokens;
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(prefills: &[(&str, usize)], budget: usize) -> Vec<usize> {
        let prefills = prefills.iter().enumerate().map(|(i, (tenant, num_tokens))| Prefill {
            seq: SeqId(i as u64),
            tenant: TenantId((*tenant).into()),
            num_tokens: *num_tokens,
        });
        share(prefills.collect(), budget).into_iter().map(|(_, num_tokens)| num_tokens).collect()
    }

    #[test]
    fn tenants_share_evenly_and_leave_what_they_do_not_need() {
        assert_eq!(shares(&[("a", 128), ("b", 128)], 256), [128, 128]);
        assert_eq!(
            shares(&[("a", 128), ("a", 128), ("a", 128), ("b", 128)], 200),
            [50, 50, 0, 100]
        );
        assert_eq!(shares(&[("a", 128), ("b", 20), ("c", 128)], 200), [90, 20, 90]);
        assert_eq!(shares(&[("a", 10), ("b", 20)], 200), [10, 20]);
        assert_eq!(shares(&[], 200), []);
    }

    #[test]
    fn the_oldest_gets_half_then_the_shortest_go_first() {
        assert_eq!(shares(&[("a", 90), ("a", 90), ("a", 20)], 100), [50, 30, 20]);
        assert_eq!(shares(&[("a", 90), ("a", 10)], 100), [90, 10]);
        assert_eq!(shares(&[("a", 5), ("a", 90)], 100), [5, 90]);
        assert_eq!(shares(&[("a", 5), ("b", 5), ("c", 5)], 3), [1, 1, 1]);
        assert_eq!(shares(&[("a", 5), ("a", 5), ("b", 5)], 2), [1, 0, 1]);
    }
}
