//! Threads that wait for the next parallel step by spinning briefly, then sleep.
//!
//! A step of one token passes some 150 parallel phases of a few microseconds each; waking a
//! sleeping thread for each would take longer than the work. Invariant: every task of a
//! [`Pool::run`] is executed exactly once, and all have ended when it returns.

use std::{
    any::Any,
    io,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle, Thread},
    time::{Duration, Instant},
};

/// What is run: the task's number, and the number of the thread that runs it.
pub type Task<'a> = dyn Fn(usize, usize) + Sync + 'a;

/// How long a thread looks for work before it sleeps: longer than a step's planning and sampling
/// take, so that the threads of a busy engine stay awake.
const PATIENCE: Duration = Duration::from_micros(200);
/// Looks at the clock, and lets other threads of the machine run, once in so many looks.
const LOOKS: usize = 256;

/// A fixed number of threads, the calling one among them.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    sleepers: Vec<Thread>,
}

struct Shared {
    /// The job's tasks that nobody has taken: the next one's number in the upper half, how many
    /// there are in all in the lower.
    open: AtomicU64,
    /// The job itself, a `Task` pointer in two halves; valid while one of its tasks runs.
    job: [AtomicPtr<()>; 2],
    /// Tasks that have ended.
    done: AtomicUsize,
    stop: AtomicBool,
    /// One per worker: whether it sleeps.
    asleep: Vec<AtomicBool>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Pool {
    /// `threads` in all, at least one.
    ///
    /// # Errors
    /// If the system does not give a thread.
    pub fn new(threads: usize) -> io::Result<Self> {
        let num_workers = threads.max(1) - 1;
        let mut pool = Self::with_memory(num_workers);
        for worker in 1..=num_workers {
            let shared = pool.shared.clone();
            let name = format!("cpu-{worker}");
            // A half-made pool ends its threads when it is dropped.
            let handle = thread::Builder::new().name(name).spawn(move || shared.work(worker))?;
            pool.sleepers.push(handle.thread().clone());
            pool.workers.push(handle);
        }
        Ok(pool)
    }

    fn with_memory(num_workers: usize) -> Self {
        let shared = Arc::new(Shared {
            open: AtomicU64::new(0),
            job: [const { AtomicPtr::new(std::ptr::null_mut()) }; 2],
            done: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            asleep: (0..num_workers).map(|_| AtomicBool::new(false)).collect(),
            panic: Mutex::new(None),
        });
        Self { shared, workers: Vec::new(), sleepers: Vec::new() }
    }

    /// Threads, the calling one among them.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `task(i, thread)` for every `i` below `num_tasks`, each once, in that order of
    /// beginning; `thread` is below [`threads`](Self::threads). Calls from several threads must
    /// not overlap, which `&mut` ensures.
    ///
    /// # Panics
    /// If a task panics, after the others have ended.
    pub fn run(&mut self, num_tasks: usize, task: &Task<'_>) {
        let shared = &*self.shared;
        if num_tasks <= 1 || self.workers.is_empty() {
            (0..num_tasks).for_each(|i| task(i, 0));
            return;
        }
        shared.publish(task, num_tasks);
        for (asleep, thread) in shared.asleep.iter().zip(&self.sleepers) {
            if asleep.load(Ordering::SeqCst) {
                thread.unpark();
            }
        }
        shared.take_tasks(0);
        let mut looks = 0_usize;
        while shared.done.load(Ordering::Acquire) < num_tasks {
            looks += 1;
            // A worker that lost its core in the middle of a task needs one.
            if looks.is_multiple_of(LOOKS) { thread::yield_now() } else { std::hint::spin_loop() }
        }
        let panic = shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

/// Hands out disjoint parts of a slice.
struct Chunks<T>(*mut T, usize);
// SAFETY: `Pool::run_chunks` gives each part to one task, which may run on any thread.
unsafe impl<T: Send> Sync for Chunks<T> {}

impl<T> Chunks<T> {
    /// # Safety
    /// No two parts that live at a time overlap, and all are within the slice.
    #[allow(clippy::mut_from_ref, reason = "the caller keeps parts apart")]
    unsafe fn part(&self, first: usize, len: usize) -> &mut [T] {
        // SAFETY: the caller vouches.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(first), len.min(self.1 - first)) }
    }
}

impl Pool {
    /// Runs `task(i, chunk)` for every chunk of `len` elements of `data`, the last one perhaps
    /// shorter.
    ///
    /// # Panics
    /// If `len` is 0, or as [`run`](Self::run).
    pub fn run_chunks<T: Send>(
        &mut self,
        data: &mut [T],
        len: usize,
        task: &(dyn Fn(usize, &mut [T]) + Sync),
    ) {
        let num_chunks = data.len().div_ceil(len);
        let chunks = Chunks(data.as_mut_ptr(), data.len());
        // SAFETY: chunks are disjoint, and each task runs once.
        self.run(num_chunks, &|i, _| task(i, unsafe { chunks.part(i * len, len) }));
    }
}

impl Pool {
    /// Runs `task(i, part, thread)` for every part of `data`: one ends at `ends[i]`, and begins
    /// where the one before it ends.
    ///
    /// # Panics
    /// If ends are not in order or not within `data`, or as [`run`](Self::run).
    pub fn run_parts<T: Send>(
        &mut self,
        data: &mut [T],
        ends: &[usize],
        task: &(dyn Fn(usize, &mut [T], usize) + Sync),
    ) {
        assert!(ends.is_sorted() && ends.last().is_none_or(|end| *end <= data.len()), "parts");
        let parts = Chunks(data.as_mut_ptr(), data.len());
        self.run(ends.len(), &|i, thread| {
            let first = if i == 0 { 0 } else { ends[i - 1] };
            // SAFETY: parts are disjoint, and each task runs once.
            task(i, unsafe { parts.part(first, ends[i] - first) }, thread);
        });
    }
}

/// The calling thread alone.
impl Default for Pool {
    fn default() -> Self {
        Self::with_memory(0)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.sleepers.iter().for_each(Thread::unpark);
        for worker in self.workers.drain(..) {
            // A worker catches what its tasks throw.
            let _ = worker.join();
        }
    }
}

/// Tasks not yet taken: the next one, and the end.
fn unpack(open: u64) -> (usize, usize) {
    ((open >> 32) as usize, (open & u64::from(u32::MAX)) as usize)
}

impl Shared {
    /// Makes the job's tasks open to all. The job before has ended.
    fn publish(&self, task: &Task<'_>, num_tasks: usize) {
        assert!(u32::try_from(num_tasks).is_ok(), "too many tasks");
        // SAFETY: a fat pointer is two words; it is put together again only in `take_tasks`.
        let halves = unsafe { std::mem::transmute::<*const Task<'_>, [*mut (); 2]>(task) };
        self.job[0].store(halves[0], Ordering::Relaxed);
        self.job[1].store(halves[1], Ordering::Relaxed);
        self.done.store(0, Ordering::Relaxed);
        self.open.store(num_tasks as u64, Ordering::SeqCst);
    }

    fn work(&self, worker: usize) {
        while !self.stop.load(Ordering::Acquire) {
            self.wait(worker);
            self.take_tasks(worker);
        }
    }

    fn has_work(&self) -> bool {
        let (next, end) = unpack(self.open.load(Ordering::SeqCst));
        next < end || self.stop.load(Ordering::SeqCst)
    }

    /// Returns when there is work, or the pool is to stop.
    fn wait(&self, worker: usize) {
        let mut since = None;
        let mut looks = 0_usize;
        while !self.has_work() {
            looks += 1;
            if !looks.is_multiple_of(LOOKS) {
                std::hint::spin_loop();
                continue;
            }
            if since.get_or_insert_with(Instant::now).elapsed() < PATIENCE {
                thread::yield_now();
                continue;
            }
            let asleep = &self.asleep[worker - 1];
            asleep.store(true, Ordering::SeqCst);
            // A job published before that store is seen here; one after it unparks.
            if !self.has_work() {
                thread::park();
            }
            asleep.store(false, Ordering::SeqCst);
        }
    }

    /// The number of a task that is now the caller's; also a worker that comes late takes part
    /// only in a job that still has an open task, and so is alive.
    fn claim(&self) -> Option<usize> {
        let mut open = self.open.load(Ordering::Acquire);
        loop {
            let (next, end) = unpack(open);
            if next >= end {
                return None;
            }
            let taken = open + (1 << 32);
            let order = (Ordering::AcqRel, Ordering::Acquire);
            match self.open.compare_exchange_weak(open, taken, order.0, order.1) {
                Ok(_) => return Some(next),
                Err(now) => open = now,
            }
        }
    }

    fn take_tasks(&self, thread: usize) {
        while let Some(i) = self.claim() {
            let halves = [0, 1].map(|half| self.job[half].load(Ordering::Relaxed));
            // SAFETY: `publish` took it apart; the claimed task is not done, so `run`, which
            // borrows it, has not returned.
            let task = unsafe { &*std::mem::transmute::<[*mut (); 2], *const Task<'_>>(halves) };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| task(i, thread))) {
                *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
            }
            self.done.fetch_add(1, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests;
