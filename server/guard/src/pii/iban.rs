//! Bank accounts, by their country's length and their check digits (ISO 13616).

/// Countries, and how long their numbers are, from SWIFT's registry.
const LENGTHS: &[(usize, &str)] = &[
    (15, "NO"),
    (16, "BE"),
    (18, "DK FI FK FO GL NL SD"),
    (19, "MK SI"),
    (20, "AT BA EE KZ LT LU MN XK"),
    (21, "CH HR LI LV"),
    (22, "BG BH CR DE GB GE IE ME RS VA"),
    (23, "AE GI IL IQ OM SO TL"),
    (24, "AD CZ ES MD PK RO SA SE SK TN VG"),
    (25, "LY PT ST"),
    (26, "IS TR"),
    (27, "BI DJ FR GR IT MC MR SM"),
    (28, "AL AZ BY CY DO GT HN HU LB NI PL SV"),
    (29, "BR EG PS QA UA"),
    (30, "JO KW MU YE"),
    (31, "MT SC"),
    (32, "LC"),
    (33, "RU"),
];

/// Whether it is one, but for spaces and dashes.
pub(super) fn is_iban(found: &str) -> bool {
    let is_of = |countries: &str| countries.split(' ').any(|c| c.eq_ignore_ascii_case(&found[..2]));
    let len = found.bytes().filter(u8::is_ascii_alphanumeric).count();
    LENGTHS.iter().any(|(expected, countries)| *expected == len && is_of(countries))
        && remainder(found) == 1
}

/// Modulo 97, with the first four characters last and letters as numbers from 10.
fn remainder(found: &str) -> u32 {
    let (first, rest) = found.split_at(4);
    let values = rest.chars().chain(first.chars()).filter_map(|c| c.to_digit(36));
    values.fold(0, |sum, value| {
        let shift = if value < 10 { 10 } else { 100 };
        (sum * shift + value) % 97
    })
}
