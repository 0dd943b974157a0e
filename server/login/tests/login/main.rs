//! How people get in, as their programs and browsers see it: a real store on SQLite, letters as
//! files, a provider on this machine, through the whole router.

mod attempts;
mod described;
mod email;
mod factors;
mod life;
mod me;
mod oidc;
mod pages;
mod provider;
mod sessions;
mod sign_up;
mod world;
