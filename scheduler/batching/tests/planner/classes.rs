//! Who gives blocks up for whom.

use engine_core::{Class, EngineLimits};

use crate::bench::{Bench, LIMITS, config, request};

/// Three sequences that outgrow the cache; which of them is in the step after one was preempted.
fn survivors(classes: [(&str, Class); 3]) -> Vec<u64> {
    let mut bench = Bench::new(EngineLimits { num_blocks: 10, ..LIMITS }, config());
    for (id, (tenant, class)) in classes.into_iter().enumerate() {
        let mut request = request(id as u64, tenant, &[10 * id as u32; 8], 30);
        request.class = class;
        request.speculation = false;
        bench.submit(request);
    }
    loop {
        let step = bench.step().unwrap();
        if bench.planner.stats().preemptions > 0 {
            let seqs = step.work.iter().map(|work| work.seq.0).collect();
            bench.run();
            assert!((0..3).all(|id| bench.has_ended(id)));
            return seqs;
        }
    }
}

#[test]
fn the_lowest_class_of_the_largest_tenant_gives_way_and_never_the_oldest() {
    use Class::{High, Low, Normal};
    assert_eq!(survivors([("a", Normal), ("a", Normal), ("a", Normal)]), [0, 1]);
    assert_eq!(survivors([("a", Normal), ("a", Low), ("a", High)]), [0, 2]);
    assert_eq!(survivors([("a", Low), ("a", Normal), ("a", High)]), [0, 2]);
    // Another tenant's class is no reason to spare one's own.
    assert_eq!(survivors([("a", High), ("a", High), ("b", Low)]), [0, 2]);
}
