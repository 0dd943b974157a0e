//! Lines in runs, each of which goes by one sort of statement.
//!
//! Invariant: runs are all lines in their order.

use super::line::Line;

/// Lines with texts in common go by a statement that has those once, if there are so many.
const FEWEST_ALIKE: usize = 4;
/// Of one account, too: fewer are better off beside those of others.
const FEWEST_OF_ONE: usize = 32;

/// What lines have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Common {
    /// All texts but their requests.
    All,
    /// What is not of their accounts.
    Kind,
    /// Perhaps nothing.
    Nothing,
}

/// Runs of lines that lie by their kinds, and in those by whose they are.
pub(super) fn runs<'b, 'a>(lines: &'b [Line<'a>]) -> Vec<(Common, &'b [Line<'a>])> {
    let (mut runs, mut start) = (Vec::<(Common, &[Line<'_>])>::new(), 0);
    for of_one in lines.chunk_by(Line::is_of_same) {
        let (from, to) = (start, start + of_one.len());
        start = to;
        match runs.last_mut() {
            _ if of_one.len() >= FEWEST_OF_ONE => runs.push((Common::All, of_one)),
            Some((Common::Kind, others)) if others[0].is_alike(&of_one[0]) => {
                *others = &lines[from - others.len()..to];
            }
            _ => runs.push((Common::Kind, of_one)),
        }
    }
    for (common, run) in &mut runs {
        if run.len() < FEWEST_ALIKE {
            *common = Common::Nothing;
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use server_metering::{
        Ending, Endpoint, Entry, KeyId, Meter, ModelId, Opened, OrganizationId, Path, Picos,
        ProjectId, RequestId, Tier, UnixMillis, Usage,
    };

    use super::super::batch::Batch;
    use super::*;

    fn entry(number: usize, (key, model, images): (u8, u8, bool)) -> Entry {
        let path = Path {
            organization: OrganizationId::new("o").unwrap(),
            project: ProjectId::new("p").unwrap(),
            key: KeyId::new(&format!("k{key}")).unwrap(),
        };
        let opened = Opened {
            request: RequestId::new(&format!("r{number:05}")).unwrap(),
            path,
            model: ModelId::new(&format!("m{model}")).unwrap(),
            tier: Tier::new("standard").unwrap(),
            endpoint: Endpoint::new("e").unwrap(),
            tag: None,
            opened_at: UnixMillis(1),
            held: Picos::ZERO,
        };
        let usage = Usage::NONE.with(Meter::Images, images.into());
        let (settled_at, cost, ending) = (UnixMillis(2), Picos::ZERO, Ending::Finished);
        Entry { opened, settled_at, usage, cost, ending }
    }

    proptest! {
        #[test]
        fn runs_are_all_lines_and_have_in_common_what_they_say(
            blocks in prop::collection::vec(((0..4u8, 0..3u8, any::<bool>()), 1..60usize), 0..9),
        ) {
            let each = blocks.iter().flat_map(|(of, num)| (0..*num).map(|_| *of));
            let entries: Vec<_> = each.enumerate().map(|(num, of)| entry(num, of)).collect();
            let batch = Batch::new(&entries);
            let runs = runs(batch.lines());
            let all = runs.iter().flat_map(|(_, run)| run.iter().map(Line::request));
            let lines: Vec<_> = batch.lines().iter().map(Line::request).collect();
            prop_assert_eq!(all.collect::<Vec<_>>(), lines);
            for (common, run) in runs {
                let is_of_same = run.iter().all(|line| line.is_of_same(&run[0]));
                let is_alike = run.iter().all(|line| line.is_alike(&run[0]));
                let is_so = match common {
                    Common::All => is_of_same && run.len() >= FEWEST_OF_ONE,
                    Common::Kind => is_alike && run.len() >= FEWEST_ALIKE,
                    Common::Nothing => run.len() < FEWEST_ALIKE,
                };
                prop_assert!(is_so, "{:?} {}", common, run.len());
            }
        }
    }
}
