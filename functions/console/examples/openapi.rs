//! Writes the API's description to `functions/console/openapi.json`.

fn main() -> std::io::Result<()> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    std::fs::write(path, console::openapi_json()?)
}
