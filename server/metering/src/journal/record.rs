//! Records as bytes: numbers in groups of seven bits, the lowest first; names after their length.
//!
//! Invariant: what was encoded decodes as the same, and no bytes panic.

use super::decode::Input;
use super::names::Names;
use super::{Ended, Ending, Entry, Mark, Opened};
use crate::{Path, Picos, RequestId, Tag, UnixMillis, Usage};

/// What versions before wrote as a request was let in.
const OPENED: u8 = 1;
const MARK: u8 = 2;
const SETTLED: u8 = 3;
const BEGUN: u8 = 4;

/// What the journal is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// A request with its first mark, of which nothing else is known yet.
    Begun(Entry),
    Mark(Mark),
    Settled(Entry),
}

impl Record {
    #[cfg(test)]
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Begun(entry) => put_begun(out, &entry.ended()),
            Self::Mark(Mark { request, at, usage, cost }) => {
                put_mark_of(out, request, *at, (*usage, *cost));
            }
            Self::Settled(entry) => put_settled(out, &entry.ended()),
        }
    }

    /// `None` where these bytes, all of them, are no record that this version knows.
    pub(crate) fn decode(bytes: &[u8], names: &mut Names) -> Option<Self> {
        let mut input = Input { bytes, names };
        let record = match input.byte()? {
            OPENED => Self::Begun(unmarked(input.opened()?)),
            BEGUN => {
                let (opened, settled_at) = (input.opened()?, input.time()?);
                let (usage, cost) = input.sum()?;
                let ending = Ending::Lost;
                Self::Begun(Entry { opened, settled_at, usage, cost, ending })
            }
            MARK => {
                let (request, at) = (RequestId::new(input.name()?).ok()?, input.time()?);
                let (usage, cost) = input.sum()?;
                Self::Mark(Mark { request, at, usage, cost })
            }
            SETTLED => {
                let (opened, settled_at) = (input.opened()?, input.time()?);
                let (usage, cost) = input.sum()?;
                let ending = *Ending::ALL.get(usize::from(input.byte()?))?;
                Self::Settled(Entry { opened, settled_at, usage, cost, ending })
            }
            _ => return None,
        };
        input.bytes.is_empty().then_some(record)
    }
}

/// A request of which nothing is known to be delivered.
fn unmarked(opened: Opened) -> Entry {
    let (usage, cost, ending) = (Usage::NONE, Picos::ZERO, Ending::Lost);
    Entry { settled_at: opened.opened_at, opened, usage, cost, ending }
}

/// The request that bytes settle, if they are of one; nothing where they are no record.
pub(super) fn settled(bytes: &[u8], names: &mut Names) -> Option<Option<Entry>> {
    // Of others the ledger wants to know nothing.
    if matches!(bytes.first(), Some(&(OPENED | BEGUN | MARK))) {
        return Some(None);
    }
    match Record::decode(bytes, names)? {
        Record::Settled(entry) => Some(Some(entry)),
        Record::Begun(_) | Record::Mark(_) => Some(None),
    }
}

/// The record of a request and what it has delivered, the first time.
pub(super) fn put_begun(out: &mut Vec<u8>, so_far: &Ended<'_>) {
    let Ended { opened, settled_at, usage, cost, ending: _ } = so_far;
    out.push(BEGUN);
    put_opened(out, opened);
    put_number(out, settled_at.0.into());
    put_sum(out, *usage, *cost);
}

/// The record of what a request has delivered, later.
pub(super) fn put_mark(out: &mut Vec<u8>, so_far: &Ended<'_>) {
    let Ended { opened, settled_at, usage, cost, ending: _ } = *so_far;
    put_mark_of(out, &opened.request, settled_at, (usage, cost));
}

fn put_mark_of(out: &mut Vec<u8>, of: &RequestId, at: UnixMillis, (usage, cost): (Usage, Picos)) {
    out.push(MARK);
    put_name(out, of.as_str());
    put_number(out, at.0.into());
    put_sum(out, usage, cost);
}

/// The record of a request that ended.
pub(super) fn put_settled(out: &mut Vec<u8>, ended: &Ended<'_>) {
    let Ended { opened, settled_at, usage, cost, ending } = ended;
    out.push(SETTLED);
    put_opened(out, opened);
    put_number(out, settled_at.0.into());
    put_sum(out, *usage, *cost);
    out.push(*ending as u8);
}

fn put_number(out: &mut Vec<u8>, mut number: u128) {
    // Nearly all are short, and the machine counts by 64 bits.
    if let Ok(mut short) = u64::try_from(number) {
        while short >= 0x80 {
            out.push(short as u8 | 0x80);
            short >>= 7;
        }
        return out.push(short as u8);
    }
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_name(out: &mut Vec<u8>, name: &str) {
    put_number(out, name.len() as u128);
    out.extend_from_slice(name.as_bytes());
}

/// Its sign goes to the lowest bit.
fn put_money(out: &mut Vec<u8>, money: Picos) {
    put_number(out, ((money.get() << 1) ^ (money.get() >> 127)).cast_unsigned());
}

fn put_opened(out: &mut Vec<u8>, opened: &Opened) {
    let Opened { request, path, model, tier, endpoint, tag, opened_at, held } = opened;
    let Path { organization, project, key } = path;
    put_name(out, request.as_str());
    put_name(out, organization.as_str());
    put_name(out, project.as_str());
    put_name(out, key.as_str());
    put_name(out, model.as_str());
    put_name(out, tier.as_str());
    put_name(out, endpoint.as_str());
    put_name(out, tag.as_ref().map_or("", Tag::as_str));
    put_number(out, opened_at.0.into());
    put_money(out, *held);
}

/// A bit for each meter that counted something, and those counts.
fn put_sum(out: &mut Vec<u8>, usage: Usage, cost: Picos) {
    let which = usage.counts().fold(0u128, |which, (meter, _)| which | 1 << meter.place());
    put_number(out, which);
    usage.counts().for_each(|(_, units)| put_number(out, units.into()));
    put_money(out, cost);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Endpoint, KeyId, Meter, ModelId, OrganizationId, ProjectId, Tier};

    fn decode(bytes: &[u8]) -> Option<Record> {
        Record::decode(bytes, &mut Names::default())
    }

    prop_compose! {
        fn record()(
            names in prop::array::uniform7("\\PC{1,40}"),
            tag in "\\PC{0,40}",
            (held, cost) in any::<(i128, i128)>(),
            units in prop::array::uniform9(prop_oneof![Just(0), any::<u64>()]),
            (opened_at, at) in any::<(u64, u64)>(),
            (kind, ending) in (0..3, 0..Ending::ALL.len()),
        ) -> Record {
            let [request, organization, project, key, model, tier, endpoint] = names;
            let counts = Meter::ALL.into_iter().zip(units);
            let usage = counts.fold(Usage::NONE, |usage, (meter, n)| usage.with(meter, n));
            let request = RequestId::new(&request).unwrap();
            let (at, cost) = (UnixMillis(at), Picos::new(cost));
            let opened = Opened {
                request: request.clone(),
                path: Path {
                    organization: OrganizationId::new(&organization).unwrap(),
                    project: ProjectId::new(&project).unwrap(),
                    key: KeyId::new(&key).unwrap(),
                },
                model: ModelId::new(&model).unwrap(),
                tier: Tier::new(&tier).unwrap(),
                endpoint: Endpoint::new(&endpoint).unwrap(),
                tag: Tag::new(&tag).ok(),
                opened_at: UnixMillis(opened_at),
                held: Picos::new(held),
            };
            let ending = Ending::ALL[ending];
            match kind {
                0 => {
                    let ending = Ending::Lost;
                    Record::Begun(Entry { opened, settled_at: at, usage, cost, ending })
                }
                1 => Record::Mark(Mark { request, at, usage, cost }),
                _ => Record::Settled(Entry { opened, settled_at: at, usage, cost, ending }),
            }
        }
    }

    #[test]
    fn endings_have_their_places() {
        for (place, ending) in Ending::ALL.into_iter().enumerate() {
            assert_eq!(ending as usize, place);
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_decodes_as_the_same_and_no_part_of_it_does(record in record()) {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            prop_assert_eq!(decode(&bytes), Some(record));
            for len in 0..bytes.len() {
                prop_assert_eq!(decode(&bytes[..len]), None);
            }
            bytes.push(0);
            prop_assert_eq!(decode(&bytes), None);
        }

        #[test]
        fn what_versions_before_wrote_of_a_beginning_is_one(record in record()) {
            if let Record::Begun(entry) = record {
                let mut bytes = vec![OPENED];
                put_opened(&mut bytes, &entry.opened);
                prop_assert_eq!(decode(&bytes), Some(Record::Begun(unmarked(entry.opened))));
            }
        }

        #[test]
        fn the_record_of_an_end_is_as_long_as_was_claimed_at_most(record in record()) {
            if let Record::Settled(entry) = &record {
                let mut framed = Vec::new();
                super::super::frame::put(&mut framed, |out| record.encode(out));
                prop_assert!(framed.len() as u64 <= entry.opened.max_end_bytes());
            }
        }

        #[test]
        fn no_bytes_panic(kind in 0..6u8, mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            bytes.insert(0, kind);
            if let Some(record) = decode(&bytes) {
                let mut again = Vec::new();
                record.encode(&mut again);
                prop_assert_eq!(decode(&again), Some(record));
            }
        }
    }
}
