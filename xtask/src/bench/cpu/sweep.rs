//! Finding each peer's best variant for each row: every variant does every short work once, and the
//! best of them the long ones.
//!
//! Invariant: what the sweep gave is kept for later runs on this machine, and told in each report.

use std::path::PathBuf;

use anyhow::Result;

use super::contend::Measurement;
use super::samples::{Sample, Samples};
use super::setup::Setup;
use super::variant::{Contender, PREFIX_SLOTS, Variant, narrowed_by};
use super::work::{Figure, Row, Section, Work};
use crate::bench::peers;

/// Where a section's sweep is kept.
fn path(section: Section) -> PathBuf {
    peers::folder().join(format!("sweep-{section:?}.json").to_lowercase())
}

/// What is known of a section, of an earlier sweep unless `again`.
pub(super) fn obtain(
    setup: &Setup,
    section: Section,
    works: &[Work],
    again: bool,
) -> Result<Vec<Sample>> {
    let kept = std::fs::read(path(section)).ok().filter(|_| !again);
    let mut samples =
        Samples(kept.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default());
    for &contender in Contender::peers(section) {
        for &work in works {
            for variant in candidates(&samples, section, contender, work) {
                let is_same =
                    |s: &Sample| s.contender == contender && s.work == work && s.variant == variant;
                if samples.0.iter().any(is_same) {
                    continue;
                }
                let measurement =
                    Measurement { setup, section, contender, variant: &variant, work };
                println!("sweep · {measurement}");
                let figures = measurement.run_or_tell();
                let pair = None;
                samples.0.push(Sample { section, contender, variant, work, pair, figures });
            }
            // Kept after each, so that a run that is broken off goes on where it was.
            std::fs::write(path(section), serde_json::to_vec_pretty(&samples.0)?)?;
        }
    }
    Ok(samples.0)
}

/// The variants that a work is tried with.
fn candidates(
    samples: &Samples,
    section: Section,
    contender: Contender,
    work: Work,
) -> Vec<Variant> {
    let all = || contender.variants(section);
    let best = |(shorter, num): (Work, usize)| {
        let rate = |row: &&Row| row.work == shorter && row.figure == Figure::TokensPerS;
        let rows = section.rows(false);
        let ranking = rows.iter().find(rate).map(|row| samples.ranking(section, contender, row));
        let best = ranking.iter().flatten().take(num);
        best.map(|(variant, _)| (*variant).clone()).collect::<Vec<Variant>>()
    };
    let narrowed_by = narrowed_by(section, contender, work);
    if narrowed_by.is_empty() {
        return all();
    }
    let mut chosen: Vec<Variant> = Vec::new();
    for variant in narrowed_by.iter().flat_map(|shorter| best(*shorter)) {
        if !chosen.contains(&variant) {
            chosen.push(variant);
        }
    }
    if chosen.is_empty() {
        // Of the shorter works nothing succeeded.
        chosen = all().into_iter().take(narrowed_by[0].1).collect();
    }
    match work {
        // Flash attention that is fast for one sequence may not take many.
        Work::Engine(16) => add_without_flash(&mut chosen, all()),
        Work::Serve => add_smallest(&mut chosen, all()),
        Work::Prefix if contender != Contender::OpenVino => {
            let with = |slots: usize| move |v: Variant| Variant { slots: Some(slots), ..v };
            let alone = best((Work::Prefill(512), 1)).into_iter().map(with(1));
            let several =
                PREFIX_SLOTS.iter().flat_map(|n| chosen.clone().into_iter().map(with(*n)));
            let several: Vec<Variant> = several.collect();
            chosen = alone.filter(|variant| !several.contains(variant)).collect();
            chosen.extend(several);
        }
        _ => {}
    }
    chosen
}

/// Those without flash attention, which OpenVINO has no name for.
fn add_without_flash(best: &mut Vec<Variant>, all: Vec<Variant>) {
    if best.iter().any(|variant| variant.flash) {
        let without = all.into_iter().filter(|variant| !variant.flash && !best.contains(variant));
        best.extend(without.collect::<Vec<_>>());
    }
}

/// What needs the least memory may be none of the fastest: the file as it came, mapped and not
/// repacked, with keys and values in 8 bits.
fn add_smallest(best: &mut Vec<Variant>, all: Vec<Variant>) {
    let smallest = all.into_iter().find(|variant| variant.kv_8bit && !variant.repack);
    best.extend(smallest.filter(|smallest| !best.contains(smallest)));
}
