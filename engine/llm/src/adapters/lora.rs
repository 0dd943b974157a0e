//! An adapter's numbers in memory, as the kernels read them.
//!
//! Invariant: pairs have the sizes of the base that they were held against, which [`Lora::fits`]
//! tells apart from others.

use kernels::low_rank::{Numbers, Pair, pack_up, pad_down, padded};

use super::{Kept, Role, Shape, parts::Part};

/// A low-rank adapter.
#[derive(Debug)]
pub struct Lora {
    numbers: Stored,
    layers: Vec<[Option<Place>; Role::NUM]>,
    shape: Shape,
    max_rank: usize,
}

#[derive(Debug)]
enum Stored {
    F32(Vec<f32>),
    Bf16(Vec<u16>),
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
    pub(super) fn new(shape: Shape, parts: &[Part], kept: Kept) -> Self {
        let total = parts.iter().flat_map(len).sum();
        let mut numbers = match kept {
            Kept::F32 => Stored::F32(Vec::with_capacity(total)),
            Kept::Bf16 => Stored::Bf16(Vec::with_capacity(total)),
        };
        let mut layers = vec![[None; Role::NUM]; shape.num_layers];
        let (mut start, mut max_rank) = (0, 0);
        for part in parts {
            let (rank, [down, up]) = (part.rank(), len(part));
            numbers.extend(&pad_down(&part.down.to_f32(), [rank, part.inputs()]));
            numbers.extend(&pack_up(&part.up.to_f32(), [part.outputs(), rank]));
            let (middle, end) = (start + down, start + down + up);
            let place = Place { start, middle, end, rank, scale: part.scale };
            layers[part.layer][part.role as usize] = Some(place);
            start = end;
            max_rank = max_rank.max(rank);
        }
        Self { numbers, layers, shape, max_rank }
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
        let (down, up) = match &self.numbers {
            Stored::F32(all) => {
                (Numbers::F32(&all[start..middle]), Numbers::F32(&all[middle..end]))
            }
            Stored::Bf16(all) => {
                (Numbers::Bf16(&all[start..middle]), Numbers::Bf16(&all[middle..end]))
            }
        };
        Some(Pair { down, up, rank, scale })
    }
}

impl Stored {
    fn extend(&mut self, numbers: &[f32]) {
        match self {
            Self::F32(all) => all.extend_from_slice(numbers),
            Self::Bf16(all) => {
                all.extend(numbers.iter().map(|x| half::bf16::from_f32(*x).to_bits()));
            }
        }
    }
}
