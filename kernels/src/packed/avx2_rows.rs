//! What six rows of a tile written out for AVX2 have in common: sums in ymm0 to ymm11.

/// `$part` for each row: its number and the registers of both its sums.
#[rustfmt::skip]
macro_rules! each_row {
    ($part:ident $($of:tt)+) => {
        concat!(
            $part!(0 0 1 $($of)+), $part!(1 2 3 $($of)+), $part!(2 4 5 $($of)+),
            $part!(3 6 7 $($of)+), $part!(4 8 9 $($of)+), $part!(5 10 11 $($of)+),
        )
    };
}
