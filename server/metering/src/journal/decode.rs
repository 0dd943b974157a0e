//! What records are made of, as it is read out of their bytes.
//!
//! Invariant: no bytes panic, and what is not whole is nothing.

use std::sync::Arc;

use super::Opened;
use super::names::Names;
use crate::{
    Endpoint, KeyId, Meter, ModelId, OrganizationId, Path, Picos, ProjectId, RequestId, Tag, Tier,
    UnixMillis, Usage,
};

/// The rest of a record's bytes.
pub(super) struct Input<'a, 'n> {
    pub(super) bytes: &'a [u8],
    pub(super) names: &'n mut Names,
}

impl<'a> Input<'a, '_> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u128> {
        if let Some((short @ 0..0x80, rest)) = self.bytes.split_first() {
            self.bytes = rest;
            return Some((*short).into());
        }
        let mut number = 0;
        for shift in (0..u128::BITS).step_by(7) {
            let byte = self.byte()?;
            let group = u128::from(byte & 0x7f);
            // The last group has two bits.
            if (group << shift) >> shift != group {
                return None;
            }
            number |= group << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn small(&mut self) -> Option<u64> {
        self.number()?.try_into().ok()
    }

    pub(super) fn time(&mut self) -> Option<UnixMillis> {
        self.small().map(UnixMillis)
    }

    pub(super) fn name(&mut self) -> Option<&'a str> {
        let len = self.small()?.try_into().ok()?;
        let (name, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        str::from_utf8(name).ok()
    }

    /// One of those that come again.
    fn known(&mut self, place: usize) -> Option<Arc<str>> {
        let name = self.name()?;
        Some(self.names.get(place, name))
    }

    fn money(&mut self) -> Option<Picos> {
        let number = self.number()?;
        Some(Picos::new((number >> 1).cast_signed() ^ -(number & 1).cast_signed()))
    }

    pub(super) fn opened(&mut self) -> Option<Opened> {
        Some(Opened {
            request: RequestId::new(self.name()?).ok()?,
            path: Path {
                organization: OrganizationId::shared(self.known(0)?).ok()?,
                project: ProjectId::shared(self.known(1)?).ok()?,
                key: KeyId::shared(self.known(2)?).ok()?,
            },
            model: ModelId::shared(self.known(3)?).ok()?,
            tier: Tier::shared(self.known(4)?).ok()?,
            endpoint: Endpoint::shared(self.known(5)?).ok()?,
            tag: self.tag()?,
            opened_at: self.time()?,
            held: self.money()?,
        })
    }

    /// None is an empty name, which no tag is.
    fn tag(&mut self) -> Option<Option<Tag>> {
        match self.name()? {
            "" => Some(None),
            name => Tag::shared(self.names.get(6, name)).ok().map(Some),
        }
    }

    pub(super) fn sum(&mut self) -> Option<(Usage, Picos)> {
        let which = self.number()?;
        if which >> Meter::ALL.len() != 0 {
            return None;
        }
        let mut usage = Usage::NONE;
        for meter in Meter::ALL.into_iter().filter(|meter| which >> meter.place() & 1 == 1) {
            usage = usage.with(meter, self.small()?);
        }
        Some((usage, self.money()?))
    }
}
