//! Low-rank products against their reference, on every instruction set of this machine.

use kernels::{
    Isa,
    low_rank::{Numbers, Pair, RowGroups, Target, add_low_rank, pack_down, pack_up, reference},
    matmul::Rows,
    pool::Pool,
};

const INPUTS: usize = 50;
/// Of the two targets: one with a tail, one with whole chunks and a tail.
const WIDTHS: [usize; 2] = [40, 323];
const NUM_ROWS: usize = 64;

/// Numbers in −1..1 from a fixed sequence, with no more digits than bfloat16 has.
fn noise(len: usize, mut seed: u64) -> Vec<f32> {
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        f32::from_bits(((seed >> 40) as f32 / (1 << 23) as f32 - 1.0).to_bits() & 0xffff_0000)
    };
    (0..len).map(|_| next()).collect()
}

/// One kind of numbers, and the other.
type Both = (Vec<f32>, Vec<u16>);

fn both(numbers: Vec<f32>) -> Both {
    let halves = numbers.iter().map(|x| (x.to_bits() >> 16) as u16).collect();
    (numbers, halves)
}

fn numbers(both: &Both, bf16: bool) -> Numbers<'_> {
    if bf16 { Numbers::Bf16(&both.1) } else { Numbers::F32(&both.0) }
}

/// What an adapter has for one target, as it is and laid out.
struct Stored {
    a: Vec<f32>,
    b: Vec<f32>,
    down: Both,
    up: Both,
    rank: usize,
    scale: f32,
}

impl Stored {
    fn new(rank: usize, outputs: usize, seed: u64) -> Self {
        let (a, b) = (noise(rank * INPUTS, seed), noise(rank * outputs, seed + 1));
        let down = both(pack_down(&a, [rank, INPUTS]));
        let up = both(pack_up(&b, [outputs, rank]));
        Self { a, b, down, up, rank, scale: 0.5 + rank as f32 }
    }

    fn pair(&self, bf16: bool) -> Pair<'_> {
        let (down, up) = (numbers(&self.down, bf16), numbers(&self.up, bf16));
        Pair { down, up, rank: self.rank, scale: self.scale }
    }
}

/// Groups of rows, and what each has for the two targets.
type Groups = Vec<(Vec<usize>, [Option<Stored>; 2])>;

fn groups() -> Groups {
    let stored = |rank, i: usize| Some(Stored::new(rank, WIDTHS[i], (rank * 7 + i) as u64));
    vec![
        (vec![5], [stored(8, 0), stored(16, 1)]),
        (vec![1, 0, 7, 9, 40], [stored(1, 0), None]),
        ((10..40).chain(50..63).collect(), [stored(17, 0), stored(4, 1)]),
        (vec![63, 48], [None, None]),
        (vec![41, 42, 43, 44], [None, stored(11, 1)]),
        (vec![46], [stored(4, 0), stored(12, 1)]),
    ]
}

/// What was there, with what the groups' pairs make of the rows.
fn run(isa: Isa, threads: usize, bf16: bool, all: &[&(Vec<usize>, [Option<Stored>; 2])]) -> Outs {
    let x = noise(NUM_ROWS * INPUTS, 99);
    let stride = 64;
    let mut data = vec![0.0; NUM_ROWS * stride];
    for (to, from) in data.chunks_exact_mut(stride).zip(x.chunks_exact(INPUTS)) {
        to[..INPUTS].copy_from_slice(from);
    }
    let mut rows = RowGroups::new(NUM_ROWS);
    rows.begin();
    rows.push(3);
    rows.clear();
    for (group, _) in all {
        rows.begin();
        group.iter().for_each(|row| rows.push(*row));
    }
    let mut outs = WIDTHS.map(|width| noise(NUM_ROWS * width, width as u64));
    let mut pool = Pool::new(threads).expect("threads");
    let [first, second] = &mut outs;
    let targets =
        [Target { out: first, width: WIDTHS[0] }, Target { out: second, width: WIDTHS[1] }];
    let pairs =
        |group: usize, target: usize| all[group].1[target].as_ref().map(|stored| stored.pair(bf16));
    let x = Rows { data: &data, stride, m: NUM_ROWS };
    let mut inner = vec![f32::NAN; 2 * NUM_ROWS * 17];
    add_low_rank((isa, &mut pool), (x, INPUTS), (&rows, &pairs), targets, &mut inner);
    outs
}

type Outs = [Vec<f32>; 2];

#[test]
fn every_group_gets_its_own_pairs_and_other_rows_nothing() {
    let all = groups();
    let x = noise(NUM_ROWS * INPUTS, 99);
    let mut want = WIDTHS.map(|width| noise(NUM_ROWS * width, width as u64));
    // What rounding is measured by: sums of magnitudes.
    let abs = |x: &[f32]| x.iter().map(|x| x.abs()).collect::<Vec<_>>();
    let mut sizes = want.each_ref().map(|want| abs(want));
    for (rows, stored) in &all {
        for row in rows {
            for (i, stored) in stored.iter().enumerate() {
                let Some(Stored { a, b, rank, scale, .. }) = stored else { continue };
                let x = &x[row * INPUTS..(row + 1) * INPUTS];
                let y = &mut want[i][row * WIDTHS[i]..(row + 1) * WIDTHS[i]];
                reference::add_low_rank(x, (a, b, *rank), *scale, y);
                let size = &mut sizes[i][row * WIDTHS[i]..(row + 1) * WIDTHS[i]];
                reference::add_low_rank(&abs(x), (&abs(a), &abs(b), *rank), *scale, size);
            }
        }
    }
    let untouched = WIDTHS.map(|width| noise(NUM_ROWS * width, width as u64));
    for isa in Isa::available() {
        for bf16 in [false, true] {
            let got = run(isa, 2, bf16, &all.iter().collect::<Vec<_>>());
            for i in 0..2 {
                for (j, (got, want)) in got[i].iter().zip(&want[i]).enumerate() {
                    let off = (got - want).abs() / sizes[i][j];
                    assert!(off < 5e-7, "{isa:?} {i} at {j}: {got}, not {want}");
                }
                for row in [2, 45, 63] {
                    let row = row * WIDTHS[i]..(row + 1) * WIDTHS[i];
                    assert_eq!(got[i][row.clone()], untouched[i][row]);
                }
            }
        }
    }
}

#[test]
fn a_row_is_the_same_in_every_batch_and_on_any_number_of_threads() {
    let all = groups();
    for isa in Isa::available() {
        let together = run(isa, 3, true, &all.iter().collect::<Vec<_>>());
        assert_eq!(together, run(isa, 1, true, &all.iter().rev().collect::<Vec<_>>()));
        for group in &all {
            for row in &group.0 {
                let stored = |i: usize| {
                    let stored = group.1[i].as_ref()?;
                    Some(Stored::new(stored.rank, WIDTHS[i], (stored.rank * 7 + i) as u64))
                };
                let alone = run(isa, 1, true, &[&(vec![*row], [stored(0), stored(1)])]);
                for i in 0..2 {
                    let row = row * WIDTHS[i]..(row + 1) * WIDTHS[i];
                    assert_eq!(alone[i][row.clone()], together[i][row], "{isa:?}");
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "is in a group")]
fn a_row_is_in_one_group_at_most() {
    let mut rows = RowGroups::new(4);
    rows.begin();
    rows.push(2);
    rows.begin();
    rows.push(2);
}
