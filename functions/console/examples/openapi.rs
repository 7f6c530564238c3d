//! Writes the API's description to `functions/console/openapi.json`, and the schema of the settings to `settings.schema.json` beside it.

fn main() -> std::io::Result<()> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    std::fs::write(path, console::openapi_json()?)?;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/settings.schema.json");
    std::fs::write(path, console::settings_schema_json()?)
}
