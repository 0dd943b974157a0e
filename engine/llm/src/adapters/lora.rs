//! An adapter's numbers in memory, as the kernels read them.
//!
//! Invariant: pairs have the sizes of the base that they were held against, which [`Lora::fits`]
//! tells apart from others.

use std::{io, ops::Range};

use kernels::low_rank::{Numbers, Pair, pack_down, pack_up, padded};
use memmap2::MmapMut;

use super::{Kept, Role, Shape, parts::Part};
use crate::weights::mmap;

/// A low-rank adapter.
#[derive(Debug)]
pub struct Lora {
    /// Numbers of the kind, in huge pages where the system allows it: a step with many adapters
    /// reads all of each.
    memory: MmapMut,
    kept: Kept,
    layers: Vec<[Option<Place>; Role::NUM]>,
    shape: Shape,
    max_rank: usize,
}

/// Where a pair's numbers are: `A` from `start` on, then `B`.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: usize,
    middle: usize,
    end: usize,
    rank: usize,
    scale: f32,
}

/// Numbers that a part takes.
fn len(part: &Part) -> [usize; 2] {
    [padded(part.inputs()) * part.rank(), padded(part.outputs()) * part.rank()]
}

/// Bytes that all parts take.
pub(super) fn num_bytes(parts: &[Part], kept: Kept) -> usize {
    parts.iter().flat_map(len).sum::<usize>() * kept.bytes()
}

impl Lora {
    /// # Errors
    /// If there is no memory for it.
    pub(super) fn new(shape: Shape, parts: &[Part], kept: Kept) -> io::Result<Self> {
        let mut memory = mmap::anonymous(num_bytes(parts, kept))?;
        let mut layers = vec![[None; Role::NUM]; shape.num_layers];
        let (mut start, mut max_rank) = (0, 0);
        for part in parts {
            let (rank, [down, up]) = (part.rank(), len(part));
            let (middle, end) = (start + down, start + down + up);
            let a = pack_down(&part.down.to_f32(), [rank, part.inputs()]);
            let b = pack_up(&part.up.to_f32(), [part.outputs(), rank]);
            let to = &mut memory[start * kept.bytes()..end * kept.bytes()];
            let numbers = a.into_iter().chain(b);
            match kept {
                Kept::F32 => {
                    let to = to.as_chunks_mut().0.iter_mut();
                    to.zip(numbers).for_each(|(to, x)| *to = x.to_ne_bytes());
                }
                Kept::Bf16 => {
                    let to = to.as_chunks_mut().0.iter_mut();
                    let bits = |x: f32| half::bf16::from_f32(x).to_bits();
                    to.zip(numbers).for_each(|(to, x)| *to = bits(x).to_ne_bytes());
                }
            }
            let place = Place { start, middle, end, rank, scale: part.scale };
            layers[part.layer][part.role as usize] = Some(place);
            start = end;
            max_rank = max_rank.max(rank);
        }
        Ok(Self { memory, kept, layers, shape, max_rank })
    }

    /// Whether it was made for a base of this shape.
    pub(crate) fn fits(&self, shape: &Shape) -> bool {
        self.shape == *shape
    }

    /// The greatest rank of its pairs.
    pub fn max_rank(&self) -> usize {
        self.max_rank
    }

    /// Its pair for a projection, if it has one.
    pub(crate) fn pair(&self, layer: usize, role: Role) -> Option<Pair<'_>> {
        let Place { start, middle, end, rank, scale } = self.layers[layer][role as usize]?;
        let (down, up) = (self.numbers(start..middle), self.numbers(middle..end));
        Some(Pair { down, up, rank, scale })
    }

    fn numbers(&self, range: Range<usize>) -> Numbers<'_> {
        // Pages are aligned for any numbers.
        match self.kept {
            Kept::F32 => Numbers::F32(&bytemuck::cast_slice(&self.memory)[range]),
            Kept::Bf16 => Numbers::Bf16(&bytemuck::cast_slice(&self.memory)[range]),
        }
    }
}
