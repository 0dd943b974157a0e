//! Randomness that nobody can guess, from the operating system's generator.

use rand::Rng;

/// `N` bytes.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill(&mut bytes[..]);
    bytes
}

/// `count` letters of `alphabet` (ASCII), each as likely as any other.
pub(crate) fn letters(count: usize, alphabet: &[u8]) -> String {
    let mut rng = rand::rng();
    (0..count).map(|_| char::from(alphabet[rng.random_range(0..alphabet.len())])).collect()
}
