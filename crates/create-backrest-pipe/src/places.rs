//! Where each thing that is put in place lies. Names only; nothing here looks whether they exist.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use common::compose;
use common::layout::Layout;
use common::settings::{Flags, Settings};

use crate::roots;

#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// The files below Backrest's folder of the container root.
    pub(crate) layout: Layout,
    pub(crate) data_dir: PathBuf,
    /// The client as it was installed beside this program.
    pub(crate) client_source: PathBuf,
    /// The systemd user unit that can run the listener.
    pub(crate) unit: PathBuf,
    /// The listener's program and its arguments.
    pub(crate) listener: Vec<OsString>,
}

pub(crate) const OLD_LISTENER: &str = "backrest-trigger.sh";
pub(crate) const UNIT: &str = "pipe-listener.service";

impl Places {
    pub(crate) fn of(settings: &Settings) -> Places {
        let mut listener = vec![common::paths::tool("pipe-listener").into_os_string()];
        listener.extend(Flags::of(settings).to_arguments());
        Places {
            layout: settings.layout(),
            data_dir: settings.data_dir.clone(),
            client_source: common::paths::tool(bridge::CLIENT),
            unit: units_folder().join(UNIT),
            listener,
        }
    }
}

pub(crate) fn compose_has_bridge(places: &Places) -> bool {
    let project = compose::read(places.layout.container_dir());
    roots::shows(roots::mounted(&project), &places.layout.bridge(), Path::new(bridge::MOUNT))
}

/// Where a user's own units lie (systemd.unit(5)).
fn units_folder() -> PathBuf {
    let given = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
    // Without a home there is no service manager of the user's either; the path is then one that does not exist.
    let config = given.or_else(|| Some(common::paths::home().ok()?.join(".config"))).unwrap_or_default();
    config.join("systemd/user")
}
