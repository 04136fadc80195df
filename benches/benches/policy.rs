//! The question asked of every packet: may this client reach this address?
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use culvert_benches::quick;
use culvert_policy::{Access, AuthorizationRule, Policy};

fn rules(count: u32) -> Vec<AuthorizationRule> {
    let rule = |n: u32| AuthorizationRule {
        destination: format!("10.{}.{}.0/24", n >> 8 & 255, n & 255).parse().unwrap(),
        access: if n.is_multiple_of(2) {
            Access::AllUsers
        } else {
            Access::Group(format!("group{}", n % 16))
        },
        services: Vec::new(),
        description: None,
    };
    (0..count).map(rule).collect()
}

fn lookups(c: &mut Criterion) {
    let mut group = c.benchmark_group("policy");
    let routes = ["10.0.0.0/8".parse().unwrap()];
    let groups = ["group1".to_owned(), "group3".to_owned()];
    for count in [1, 50, 1000] {
        let rules = rules(count);
        let policy = Policy::compile(&rules, &routes);
        let filter = policy.filter_for(&groups);
        let mut n = 0u32;
        group.bench_function(BenchmarkId::new("allows", count), |b| {
            b.iter(|| {
                n = n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                filter.allows(black_box(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 | n >> 8))))
            });
        });
        group.bench_function(BenchmarkId::new("compile", count), |b| {
            b.iter(|| Policy::compile(black_box(&rules), &routes).filter_for(&groups));
        });
    }
    group.finish();
}

criterion_group! { name = benches; config = quick(); targets = lookups }
criterion_main!(benches);
