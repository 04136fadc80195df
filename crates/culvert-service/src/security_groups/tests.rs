//! Security groups in a store of their own, on disk.

use std::time::{Duration, Instant};

use culvert_store::{EmbeddedStore, Options};
use tempfile::TempDir;

use super::*;
use crate::operations::samples::{associated, endpoint, environment};
use crate::repeat::Once;
use crate::security_group::{Permission, Revocation};

const NEVER: Once<'static> = Once {
    action: "Test",
    repeat: None,
};

struct Lab {
    _folder: TempDir,
    registry: Registry,
    groups: SecurityGroups,
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        let store: Arc<dyn Store> =
            Arc::new(EmbeddedStore::open(&path, Options::default(), Instant::now).unwrap());
        Self {
            _folder: folder,
            registry: Registry::new(Arc::clone(&store)),
            groups: SecurityGroups::new(store),
        }
    }

    fn create(&self, name: &str, number: u8) -> Result<SecurityGroup, ServiceError> {
        let request = CreateSecurityGroup {
            vpc_id: "vpc-00000001".into(),
            name: name.into(),
            description: "a group".into(),
            tags: BTreeMap::new(),
        };
        self.create_as(&request, number)
    }

    fn create_as(&self, request: &CreateSecurityGroup, number: u8) -> Result<SecurityGroup, ServiceError> {
        let id = SecurityGroupId::from_random([number; 9]);
        let rule = SecurityGroupRuleId::from_random([number; 9]);
        self.groups.create(request, &environment(), id, rule)
    }
}

fn code<T: std::fmt::Debug>(outcome: Result<T, ServiceError>) -> ErrorCode {
    outcome.unwrap_err().to_api().code
}

#[test]
fn a_group_is_made_changed_and_deleted_and_each_wakes_who_watches() {
    let lab = Lab::new();
    let mut watch = lab
        .registry
        .watch(lab.registry.snapshot().unwrap().revision)
        .unwrap();
    let mut woken = || {
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end {
            if watch.try_next().unwrap().is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("nobody was woken");
    };
    let made = lab.create("mine", 1).unwrap();
    woken();
    assert_eq!(
        lab.registry.snapshot().unwrap().security_groups,
        std::slice::from_ref(&made)
    );
    assert_eq!(made.egress().count(), 1, "everything is allowed");
    let all = Revocation::Rules(vec![made.rules[0].id.to_string()]);
    let gone = lab
        .groups
        .change(&made.id, &environment(), |group| {
            group.revoke(Direction::Egress, &all)
        })
        .unwrap();
    woken();
    assert_eq!(gone, made.rules);
    assert!(lab.groups.list().unwrap()[0].rules.is_empty());
    lab.groups.delete(&made.id, &environment()).unwrap();
    woken();
    assert_eq!(lab.groups.list().unwrap(), []);
    assert_eq!(
        code(lab.groups.delete(&made.id, &environment())),
        ErrorCode::InvalidGroupNotFound
    );
}

#[test]
fn a_snapshot_has_groups_beside_endpoints() {
    let lab = Lab::new();
    let made = lab.create("mine", 1).unwrap();
    lab.registry
        .add(NEVER, |_| Ok::<_, ApiError>(endpoint()))
        .unwrap();
    let snapshot = lab.registry.snapshot().unwrap();
    assert_eq!(
        (snapshot.endpoints.len(), snapshot.security_groups),
        (1, vec![made])
    );
}

#[test]
fn each_reason_against_a_new_group_has_its_code() {
    let lab = Lab::new();
    lab.create("web server", 1).unwrap();
    for (name, wanted) in [
        ("web server", ErrorCode::InvalidGroupDuplicate),
        ("web", ErrorCode::InvalidGroupDuplicate), // a declared one
        ("default", ErrorCode::InvalidGroupReserved),
        ("Default", ErrorCode::InvalidGroupReserved),
        ("sg-mine", ErrorCode::InvalidParameterValue),
        ("", ErrorCode::InvalidParameterValue),
        ("naïve", ErrorCode::InvalidParameterValue),
    ] {
        assert_eq!(code(lab.create(name, 2)), wanted, "{name}");
    }
    let mut request = CreateSecurityGroup {
        vpc_id: "vpc-00000002".into(),
        name: "web server".into(),
        description: "x".repeat(256),
        tags: BTreeMap::new(),
    };
    assert_eq!(code(lab.create_as(&request, 2)), ErrorCode::InvalidParameterValue);
    request.description = String::new();
    lab.create_as(&request, 2).unwrap();
    request.vpc_id = "vpc-00000099".into();
    assert_eq!(code(lab.create_as(&request, 3)), ErrorCode::InvalidVpcIdNotFound);
    assert_eq!(lab.groups.list().unwrap().len(), 2);
}

#[test]
fn a_group_in_use_or_declared_stays() {
    let lab = Lab::new();
    let made = lab.create("mine", 1).unwrap();
    let id = made.id.clone();
    lab.registry
        .add(NEVER, |_| {
            let mut endpoint = associated();
            let all = environment().with_security_groups(lab.groups.list()?);
            endpoint.apply_security_groups(&all, "vpc-00000001", std::slice::from_ref(&id))?;
            Ok::<_, ServiceError>(endpoint)
        })
        .unwrap();
    assert_eq!(
        code(lab.groups.delete(&made.id, &environment())),
        ErrorCode::DependencyViolation
    );
    let refused = lab.groups.delete("sg-00000002", &environment()).unwrap_err();
    assert!(
        refused.to_string().contains("declared in the configuration file"),
        "{refused}"
    );
    let nothing = |_: &mut SecurityGroup| Ok(());
    for (id, wanted) in [
        ("sg-00000002", ErrorCode::UnsupportedOperation),
        ("sg-00000099", ErrorCode::InvalidGroupNotFound),
        ("web", ErrorCode::InvalidGroupIdMalformed),
    ] {
        assert_eq!(
            code(lab.groups.change(id, &environment(), nothing)),
            wanted,
            "{id}"
        );
    }
}

#[test]
fn many_who_add_rules_at_once_all_succeed() {
    let lab = Lab::new();
    let made = lab.create("mine", 1).unwrap();
    std::thread::scope(|scope| {
        for number in 1..=8u8 {
            let (groups, id) = (&lab.groups, &made.id);
            scope.spawn(move || {
                let permission = Permission {
                    network: format!("10.{number}.0.0/16").parse().unwrap(),
                    protocol: IpProtocol::Icmp,
                    description: None,
                };
                let rule = || SecurityGroupRuleId::from_random([100 + number; 9]);
                let add = |group: &mut SecurityGroup| {
                    group.authorize(
                        Direction::Egress,
                        std::slice::from_ref(&permission),
                        &BTreeMap::new(),
                        rule,
                    )
                };
                groups.change(id, &environment(), add).unwrap();
            });
        }
    });
    assert_eq!(lab.groups.list().unwrap()[0].rules.len(), 9);
}
