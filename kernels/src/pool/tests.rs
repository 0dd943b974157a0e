//! Every task once, threads that sleep, tasks that panic, parts of a slice.

use super::*;

#[test]
fn every_task_runs_once_in_every_job() {
    for threads in 1..5 {
        let mut pool = Pool::new(threads).expect("threads");
        for num_tasks in [0, 1, 2, 7, 100] {
            for _ in 0..200 {
                let counts: Vec<_> = (0..num_tasks).map(|_| AtomicUsize::new(0)).collect();
                pool.run(num_tasks, &|i, thread| {
                    assert!(thread < threads);
                    counts[i].fetch_add(1, Ordering::Relaxed);
                });
                assert!(counts.iter().all(|n| n.load(Ordering::Relaxed) == 1));
            }
        }
    }
}

#[test]
fn sleepers_wake_up() {
    let mut pool = Pool::new(3).expect("threads");
    for _ in 0..5 {
        thread::sleep(PATIENCE * 5);
        let count = AtomicUsize::new(0);
        pool.run(50, &|_, _| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(count.into_inner(), 50);
    }
}

#[test]
fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
    let mut pool = Pool::new(2).expect("threads");
    let caught = catch_unwind(AssertUnwindSafe(|| {
        pool.run(64, &|i, _| assert!(i != 9, "nine"));
    }));
    assert!(caught.is_err());
    let count = AtomicUsize::new(0);
    pool.run(64, &|_, _| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    assert_eq!(count.into_inner(), 64);
}

#[test]
fn each_part_of_a_slice_goes_to_one_task() {
    for threads in 1..4 {
        let mut pool = Pool::new(threads).expect("threads");
        let mut data = vec![0; 100];
        let ends = [0, 1, 1, 40, 64, 97];
        pool.run_parts(&mut data, &ends, &|i, part, thread| {
            assert!(thread < threads);
            part.iter_mut().for_each(|x| *x += i + 1);
        });
        let want = |at: usize| ends.iter().position(|end| at < *end).map_or(0, |i| i + 1);
        assert_eq!(data, (0..100).map(want).collect::<Vec<_>>());
    }
}

#[test]
#[should_panic(expected = "parts")]
fn parts_beyond_the_slice_are_refused() {
    Pool::default().run_parts(&mut [0; 4], &[2, 5], &|_, _, _| {});
}
