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
            let known = |s: &Sample| s.contender == contender && s.work == work;
            if samples.0.iter().any(known) {
                continue;
            }
            for variant in candidates(&samples, section, contender, work) {
                let measurement =
                    Measurement { setup, section, contender, variant: &variant, work };
                println!("sweep · {measurement}");
                // What a contender cannot do is no candidate; that is told, too.
                match measurement.run() {
                    Ok(figures) => {
                        println!("  {figures:?}");
                        let pair = None;
                        samples.0.push(Sample { section, contender, variant, work, pair, figures });
                    }
                    Err(error) => println!("  left out: {error:#}"),
                }
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
    let Some((shorter, num)) = narrowed_by(work) else { return all() };
    let rate = |row: &&Row| row.work == shorter && row.figure == Figure::TokensPerS;
    let rows = section.rows(false);
    let ranking = rows.iter().find(rate).map(|row| samples.ranking(section, contender, row));
    let mut best: Vec<Variant> =
        ranking.iter().flatten().take(num).map(|(variant, _)| (*variant).clone()).collect();
    if best.is_empty() {
        best = all();
        best.truncate(num);
    }
    if work == Work::Serve {
        add_smallest(&mut best, all());
    }
    if work == Work::Prefix && contender != Contender::OpenVino {
        let with = |variant: Variant| {
            PREFIX_SLOTS.map(|slots| Variant { slots: Some(slots), ..variant.clone() })
        };
        best = best.into_iter().flat_map(with).collect();
    }
    best
}

/// What needs the least memory may be none of the fastest: the file as it came, mapped and not
/// repacked, with keys and values in 8 bits.
fn add_smallest(best: &mut Vec<Variant>, all: Vec<Variant>) {
    let smallest = all.into_iter().find(|variant| variant.kv_8bit && !variant.repack);
    best.extend(smallest.filter(|smallest| !best.contains(smallest)));
}
