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

/// Some inputs of a row times both halves of a line of weights, in ymm12 and ymm13: the first of a
/// block are the sums `$lo` and `$hi`, further ones are added to them. Rows are `$stride` bytes
/// apart, their inputs come four bytes at a time.
#[rustfmt::skip]
macro_rules! times_row {
    ($m:literal $lo:literal $hi:literal $stride:literal $times:literal $plus:literal
        $at:literal $($begins:ident)?) => {
        concat!(
            "vpbroadcastd ymm14, dword ptr [{x} + ", $stride, "*", $m, " + 4*", $at, "]\n",
            times_row!(by $lo $hi $times $plus $($begins)?),
        )
    };
    (by $lo:literal $hi:literal $times:literal $plus:literal begins) => {
        concat!(
            $times, " ymm", $lo, ", ymm12, ymm14\n",
            $times, " ymm", $hi, ", ymm13, ymm14\n",
        )
    };
    (by $lo:literal $hi:literal $times:literal $plus:literal) => {
        concat!(
            $times, " ymm15, ymm12, ymm14\n",
            $plus, " ymm", $lo, ", ymm", $lo, ", ymm15\n",
            $times, " ymm14, ymm13, ymm14\n",
            $plus, " ymm", $hi, ", ymm", $hi, ", ymm14\n",
        )
    };
}

/// Line `$at` of the weights times all rows.
#[rustfmt::skip]
macro_rules! times_line {
    ($at:literal $stride:literal $times:literal $plus:literal $($begins:ident)?) => {
        concat!(
            "vmovdqu ymm12, [{w} + 64*", $at, "]\n",
            "vmovdqu ymm13, [{w} + 64*", $at, " + 32]\n",
            each_row!(times_row $stride $times $plus $at $($begins)?),
        )
    };
}
