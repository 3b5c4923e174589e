//! The rules by which Python packages are installed in layers.

use accretion_core::target::Runtime;
use accretion_tree::{Installation, Layout, LayoutFile};

use crate::wheel::record;

/// Packages in a folder of `sys.path`.
///
/// Source: "Packaging your layer content" in the developer guide of AWS Lambda: a function has
/// `/opt/python/lib/python3.x/site-packages` on its path, and `/opt/python` before it.
#[derive(Debug, Clone, Copy)]
pub struct SitePackages;

impl Installation for SitePackages {
    fn root(&self) -> &'static str {
        "python/"
    }

    fn runtime_folder(&self, runtime: Runtime) -> String {
        format!("lib/python3.{}/site-packages/", runtime.python_minor())
    }

    fn package_marker(&self) -> Option<&'static str> {
        Some("__init__.py")
    }

    fn is_metadata(&self, path: &str) -> bool {
        path.contains(".dist-info/")
    }

    fn file_list(&self, layout: &Layout, files: &[&LayoutFile]) -> Vec<u8> {
        record::write(&layout.file_list, files.iter().copied()).into_bytes()
    }

    /// Tests of packages, stubs for type checkers, static archives, headers and sources of extension
    /// modules, and bytecode of some other Python. `docs/` and `examples/` are not among them:
    /// packages import what is in there.
    fn prunable(&self) -> &'static [&'static str] {
        &[
            "tests/",
            "*.pyi",
            "*.{a,lib}",
            "*.{c,cc,cpp,h,hh,hpp,pxd,pxi,pyx}",
            "__pycache__/",
        ]
    }
}
