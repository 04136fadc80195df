//! Leases out of pools of any size: the cost must not depend on the size.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::net::IpAddr;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use culvert_benches::quick;
use culvert_pool::{Pool, PoolConfig};

fn leases(c: &mut Criterion) {
    let mut group = c.benchmark_group("pool");
    for prefix in [22, 16, 12] {
        let config = PoolConfig {
            v4: format!("10.0.0.0/{prefix}").parse().ok(),
            v6: None,
            sticky: true,
        };
        let mut pool = Pool::new(config).unwrap();
        // Half full, as a pool in use is.
        let held: Vec<_> = (0..pool.capacity() / 2)
            .map(|n| pool.allocate(&format!("user{n}"), None).unwrap())
            .collect();
        group.bench_function(
            BenchmarkId::new("allocate and release", format!("/{prefix}")),
            |b| {
                b.iter(|| {
                    let lease = pool.allocate(black_box("alice"), None).unwrap();
                    pool.release(lease);
                });
            },
        );
        let address = IpAddr::V4(held.last().unwrap().v4.unwrap());
        group.bench_function(BenchmarkId::new("index of address", format!("/{prefix}")), |b| {
            b.iter(|| pool.index_of(black_box(address)));
        });
    }
    group.finish();
}

criterion_group! { name = benches; config = quick(); targets = leases }
criterion_main!(benches);
