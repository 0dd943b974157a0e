//! From a source to a grammar that sequences can follow, with what each may cost bounded.
//!
//! Invariant: equal sources of one tenant are compiled once at a time and kept; tenants share
//! nothing, so that none learns from the time it takes what another asked for.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use engine_core::{Constraint, Grammar, TokenMask};
use engine_text::TextModel;
use llguidance::api::ParserLimits;
use llguidance::earley::SlicedBiasComputer;
use llguidance::toktrie::InferenceCapabilities;
use llguidance::{Matcher, ParserFactory};
use serde_json::Value;

use crate::follow::{Follower, first_mask};
use crate::kept::{Entry, Kept, Key};
use crate::workers::Workers;
use crate::{CompileError, Source, size, vocabulary};

/// What an error that is kept takes, about.
const ERROR_BYTES: usize = 1 << 10;
/// The library goes down from rule to rule, and by references, on the stack; how many there may be
/// is bounded so that this holds them. Memory is taken only as far as it is used.
const STACK_BYTES: usize = 256 << 20;

/// What a grammar may cost. By the library's figures (50 and 14 units of fuel, 20 items a
/// microsecond) compiling ends within about 20 ms of its lexer, and a mask within about 6 ms.
fn limits() -> ParserLimits {
    ParserLimits {
        initial_lexer_fuel: 1_000_000,
        step_lexer_fuel: 60_000,
        step_max_items: 30_000,
        max_lexer_states: 10_000,
        max_grammar_size: 200_000,
        precompute_large_lexemes: false,
        verbose_errors: false,
        ..ParserLimits::default()
    }
}

/// Compiles grammars for one model.
pub struct Compiler {
    text: Arc<TextModel>,
    /// Made when the first grammar comes: it takes memory, and most servers see none.
    factory: OnceLock<Result<ParserFactory, CompileError>>,
    workers: Workers,
    kept: Mutex<Kept>,
}

impl fmt::Debug for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiler").finish_non_exhaustive()
    }
}

impl Compiler {
    /// `num_workers` threads compute masks while the model runs; without any, masks are computed
    /// where tokens are sampled.
    pub fn new(text: Arc<TextModel>, num_workers: usize) -> Self {
        let (factory, kept) = (OnceLock::new(), Mutex::default());
        Self { text, factory, workers: Workers::new(num_workers), kept }
    }

    /// Compiles `source`, or waits for whoever is compiling the same for the same tenant, or finds
    /// it. Takes up to some hundred milliseconds: not for threads that serve connections.
    ///
    /// # Errors
    /// [`CompileError`].
    pub fn compile(&self, tenant: &str, source: &Source) -> Result<Arc<Compiled>, CompileError> {
        let (key, source_bytes) = key(tenant, source);
        let entry: Entry = self.kept().entry(key);
        let mut is_new = false;
        let compiled = entry.get_or_init(|| {
            is_new = true;
            let mut compiled = self.compile_deep(source)?;
            compiled.num_bytes += source_bytes * size::PER_SOURCE_BYTE;
            Ok(Arc::new(compiled))
        });
        if is_new {
            let num_bytes = compiled.as_ref().map_or(ERROR_BYTES, |done| done.num_bytes());
            self.kept().weigh(&key, &entry, num_bytes);
        }
        compiled.clone()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compiles on a thread with a stack for the deepest of grammars.
    fn compile_deep(&self, source: &Source) -> Result<Compiled, CompileError> {
        let failed = || CompileError::TooLarge("the grammar could not be processed".to_owned());
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("grammar".to_owned());
            let thread = thread.stack_size(STACK_BYTES);
            let compile = || self.compile_now(source).map_err(|error| self.blamed(source, error));
            let thread = thread.spawn_scoped(scope, compile);
            thread.map_err(|_| failed())?.join().map_err(|_| failed())?
        })
    }

    /// The error of the first call's arguments that fail alone, if any do: what is said of the
    /// grammar of all calls is of lines that no client wrote.
    fn blamed(&self, source: &Source, error: CompileError) -> CompileError {
        let (Source::Calls(calls) | Source::CallsOr(calls, _)) = source else { return error };
        let alone = |schema: &Value| self.compile_now(&Source::JsonSchema(schema.clone())).err();
        let mut forms = calls.forms.iter().enumerate();
        match forms.find_map(|(which, form)| Some((which, alone(&form.schema)?))) {
            Some((which, error)) => CompileError::OfCall { which, error: Box::new(error) },
            None => error,
        }
    }

    fn compile_now(&self, source: &Source) -> Result<Compiled, CompileError> {
        let factory = self.factory.get_or_init(|| factory(&self.text)).as_ref();
        let factory = factory.map_err(CompileError::clone)?;
        let grammar = source.to_library()?;
        let parser = factory.create_parser(grammar);
        let parser = parser.map_err(|error| CompileError::from_library(&format!("{error:#}")))?;
        // It has the same lexer, which grows with the first mask.
        let shared = parser.parser.clone();
        let mut matcher = Matcher::new(Ok(parser));
        let first =
            first_mask(&mut matcher).map_err(|error| CompileError::from_library(&error.0))?;
        let num_bytes = size::num_bytes(&shared, self.text.vocab_size().div_ceil(8));
        let (matcher, workers) = (Mutex::new(matcher), self.workers.clone());
        Ok(Compiled { matcher, first, workers, num_bytes })
    }
}

fn factory(text: &TextModel) -> Result<ParserFactory, CompileError> {
    let environment = vocabulary::environment(text)?;
    let slices = SlicedBiasComputer::general_slices();
    let factory = ParserFactory::new(&environment, InferenceCapabilities::default(), &slices);
    let mut factory = factory.map_err(|error| CompileError::from_library(&error.to_string()))?;
    *factory.quiet().limits_mut() = limits();
    Ok(factory)
}

/// The key, and the length of what it is made from.
fn key(tenant: &str, source: &Source) -> (Key, usize) {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(tenant.len() as u64).to_le_bytes()).update(tenant.as_bytes());
    // Unlike JSON of the source, this tells apart what is only equal as text.
    let source = format!("{source:?}");
    hasher.update(source.as_bytes());
    (hasher.finalize().into(), source.len())
}

/// A grammar ready to be followed.
pub struct Compiled {
    /// Copied for each sequence; never advanced itself.
    matcher: Mutex<Matcher>,
    /// What an answer may begin with.
    first: Arc<TokenMask>,
    workers: Workers,
    num_bytes: usize,
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiled").finish_non_exhaustive()
    }
}

impl Compiled {
    /// The grammar as requests carry it.
    pub fn grammar(self: &Arc<Self>) -> Arc<dyn Grammar> {
        Arc::new(Shared(Arc::clone(self)))
    }

    /// What it takes in memory, about.
    pub fn num_bytes(&self) -> usize {
        self.num_bytes
    }

    /// A matcher of a sequence's own. Nothing is shared: what one sequence makes of its limits is
    /// no other's loss.
    pub(crate) fn matcher(&self) -> Matcher {
        self.matcher.lock().unwrap_or_else(PoisonError::into_inner).deep_clone()
    }

    pub(crate) fn first(&self) -> Arc<TokenMask> {
        Arc::clone(&self.first)
    }

    pub(crate) fn workers(&self) -> &Workers {
        &self.workers
    }
}

/// [`Compiled`], which sequences must be able to share.
#[derive(Debug)]
struct Shared(Arc<Compiled>);

impl Grammar for Shared {
    fn start(&self) -> Box<dyn Constraint> {
        Box::new(Follower::new(Arc::clone(&self.0)))
    }
}
