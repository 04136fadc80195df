//! Network interfaces: one for each association.

use culvert_query::ErrorCode;

use crate::lab::{Lab, id};

#[test]
fn an_association_has_a_network_interface() {
    let lab = Lab::new();
    let endpoint = lab.associated();
    let interface = id("eni-", 2);
    let wanted = format!(
        "<networkInterfaceSet><item><availabilityZone>us-east-1a</availabilityZone>\
         <description>ClientVPN Endpoint resource: {endpoint}</description>\
         <groupSet><item><groupId>sg-00000001</groupId><groupName>default</groupName></item></groupSet>\
         <interfaceType>interface</interfaceType><networkInterfaceId>{interface}</networkInterfaceId>\
         <ownerId>123456789012</ownerId><requesterManaged>true</requesterManaged>\
         <sourceDestCheck>false</sourceDestCheck><status>in-use</status><subnetId>subnet-0000000a</subnetId>\
         <tagSet></tagSet><vpcId>vpc-00000001</vpcId></item></networkInterfaceSet>"
    );
    assert_eq!(lab.members("Action=DescribeNetworkInterfaces"), wanted);
    let by_id = format!("Action=DescribeNetworkInterfaces&NetworkInterfaceId.1={interface}");
    assert_eq!(lab.members(&by_id), wanted);
    let association = id("cvpn-assoc-", 2);
    lab.members(&format!(
        "Action=DisassociateClientVpnTargetNetwork&ClientVpnEndpointId={endpoint}&AssociationId={association}"
    ));
    assert!(lab.members(&by_id).contains("<status>detaching</status>"));
    lab.settle();
    assert_eq!(lab.code(&by_id), ErrorCode::InvalidNetworkInterfaceIdNotFound);
}

#[test]
fn there_is_no_interface_where_an_association_failed() {
    let lab = Lab::new();
    let endpoint = lab.endpoint();
    lab.members(&format!(
        "Action=AssociateClientVpnTargetNetwork&ClientVpnEndpointId={endpoint}&SubnetId=subnet-0000000a"
    ));
    assert!(
        lab.members("Action=DescribeNetworkInterfaces")
            .contains("<status>attaching</status>")
    );
    lab.settle_with(Err("the port is taken"));
    let none = "<networkInterfaceSet></networkInterfaceSet>";
    assert_eq!(lab.members("Action=DescribeNetworkInterfaces"), none);
}
