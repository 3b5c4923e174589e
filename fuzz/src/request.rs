use accretion_python::request::Request;

use crate::report;

/// Requests in JSON.
///
/// What is accepted survives being written and read again, as it is when it goes from the dispatcher
/// to the builder.
pub fn request(data: &[u8]) {
    match Request::from_json("request.json", data) {
        Ok((request, warnings)) => {
            report::check(&warnings, false);
            let _ = accretion_python::request::problems(&request, &[]);
            round_trip(&request);
        }
        Err(refusal) => report::check(&refusal, true),
    }
}

/// Writes and reads a request.
pub(crate) fn round_trip(request: &Request) {
    let text = request.to_json();
    let (again, _) = Request::from_json("request.json", text.as_bytes())
        .unwrap_or_else(|report| panic!("{request:?}\n{text}\n{}", report.render()));
    assert_eq!(again, *request, "{text}");
    assert_eq!(again.to_json(), text);
}
