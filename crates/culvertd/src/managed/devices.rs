//! Names for the devices of managed endpoints.

use std::collections::HashMap;

use culvert_service::EndpointId;

/// The devices of managed endpoints, for as long as the daemon runs.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    names: HashMap<EndpointId, String>,
}

impl Devices {
    /// The endpoint's device: the one it had, or the first that is free. `taken` tells what other endpoints have,
    /// `exists` what the machine has, whoever made it.
    pub(crate) fn of(
        &mut self,
        endpoint: &EndpointId,
        taken: impl Fn(&str) -> bool,
        exists: impl Fn(&str) -> bool,
    ) -> String {
        if let Some(name) = self.names.get(endpoint).filter(|name| !taken(name)) {
            return name.clone();
        }
        let mut numbers = 0u32..;
        let free = numbers.find_map(|number| {
            let name = format!("cvpn{number}");
            let used = taken(&name) || exists(&name) || self.names.values().any(|used| *used == name);
            (!used).then_some(name)
        });
        // There are more numbers than endpoints.
        let name = free.unwrap_or_default();
        self.names.insert(endpoint.clone(), name.clone());
        name
    }

    /// Frees the devices of all other endpoints.
    pub(crate) fn retain(&mut self, exists: impl Fn(&EndpointId) -> bool) {
        self.names.retain(|endpoint, _| exists(endpoint));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_keeps_its_device_and_others_get_others() {
        let id = |n| EndpointId::from_random([n; 9]);
        let mut devices = Devices::default();
        let declared = |name: &str| name == "cvpn1";
        let nothing = |_: &str| false;
        assert_eq!(devices.of(&id(1), declared, nothing), "cvpn0");
        assert_eq!(devices.of(&id(2), declared, nothing), "cvpn2");
        let own = |name: &str| name == "cvpn0";
        assert_eq!(devices.of(&id(1), declared, own), "cvpn0", "it exists as it runs");
        devices.retain(|endpoint| *endpoint == id(2));
        let foreign = |name: &str| name == "cvpn0";
        assert_eq!(devices.of(&id(4), declared, foreign), "cvpn3");
        assert_eq!(devices.of(&id(3), declared, nothing), "cvpn0");
        assert_eq!(
            devices.of(&id(2), |name| name == "cvpn2", nothing),
            "cvpn1",
            "it was taken away"
        );
    }
}
