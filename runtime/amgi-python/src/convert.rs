//! Messages as Python has them: the same fields in a scope `message` and in an event `message.send`.
//!
//! What must hold: every field crosses both ways, and what AMGI's types do not allow is an error and no guess.

use std::sync::{Mutex, PoisonError};

use amgi::{BindingValue, Bindings, ByteString, Bytes, Headers, Message};
use pyo3::{
    exceptions::{PyKeyError, PyTypeError},
    intern,
    prelude::*,
    pybacked::{PyBackedBytes, PyBackedStr},
    types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple},
};

/// The message of a scope `message`, or of an event `message.send`.
///
/// # Errors
/// `KeyError` where `address` or `headers` are missing, `TypeError` where a field is not of AMGI's type.
pub fn message(fields: &Bound<'_, PyDict>) -> PyResult<Message> {
    let py = fields.py();
    let needed = |name| fields.get_item(name)?.ok_or_else(|| PyKeyError::new_err(format!("{name}")));
    let address = needed(intern!(py, "address"))?.extract::<PyBackedStr>()?;
    let mut message = Message::new(&*address);
    message.headers = headers(&needed(intern!(py, "headers"))?)?;
    if let Some(payload) = fields.get_item(intern!(py, "payload"))? {
        message.payload = bytes(&payload)?;
    }
    if let Some(bindings) = fields.get_item(intern!(py, "bindings"))?
        && !bindings.is_none()
    {
        fill_bindings(&bindings, &mut message.bindings)?;
    }
    Ok(message)
}

/// Bytes, or nothing for None.
fn bytes(value: &Bound<'_, PyAny>) -> PyResult<Option<Bytes>> {
    if value.is_none() {
        return Ok(None);
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Some(Bytes::copy_from_slice(bytes.as_bytes())));
    }
    Ok(Some(Bytes::copy_from_slice(&value.extract::<PyBackedBytes>()?)))
}

fn headers(pairs: &Bound<'_, PyAny>) -> PyResult<Headers> {
    let mut headers = Headers::default();
    for pair in pairs.try_iter()? {
        let pair = pair?;
        let (name, value) = match pair.cast::<PyTuple>() {
            Ok(pair) => pair.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()?,
            Err(_) => <(Bound<'_, PyAny>, Bound<'_, PyAny>)>::try_from_sequence(&pair)?,
        };
        let name = bytes(&name)?.ok_or_else(|| PyTypeError::new_err("a header has no name"))?;
        // Kafka has headers without a value.
        headers.push(name, bytes(&value)?.unwrap_or_default());
    }
    Ok(headers)
}

trait Pair<'py>: Sized {
    fn try_from_sequence(pair: &Bound<'py, PyAny>) -> PyResult<Self>;
}

impl<'py> Pair<'py> for (Bound<'py, PyAny>, Bound<'py, PyAny>) {
    fn try_from_sequence(pair: &Bound<'py, PyAny>) -> PyResult<Self> {
        match pair.len()? {
            2 => Ok((pair.get_item(0)?, pair.get_item(1)?)),
            count => Err(PyTypeError::new_err(format!("a header is a pair, not {count} things"))),
        }
    }
}

fn fill_bindings(protocols: &Bound<'_, PyAny>, bindings: &mut Bindings) -> PyResult<()> {
    for (protocol, fields) in protocols.cast::<PyDict>()? {
        let protocol = ByteString::from(&*protocol.extract::<PyBackedStr>()?);
        for (field, value) in fields.cast::<PyDict>()? {
            bindings.set(protocol.clone(), &*field.extract::<PyBackedStr>()?, binding(&value)?);
        }
    }
    Ok(())
}

/// What AMGI has no type for is the number or text that says the same: a time is its seconds since 1970.
fn binding(value: &Bound<'_, PyAny>) -> PyResult<BindingValue> {
    if value.is_none() {
        return Ok(BindingValue::Null);
    }
    if let Ok(flag) = value.cast::<PyBool>() {
        return Ok(flag.is_true().into());
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(BindingValue::Text(text.extract::<PyBackedStr>()?[..].into()));
    }
    if let Ok(number) = value.cast::<PyInt>()
        && let Ok(number) = number.extract::<i64>()
    {
        return Ok(number.into());
    }
    if let Ok(Some(bytes)) = bytes(value) {
        return Ok(bytes.into());
    }
    let py = value.py();
    let number = match value.call_method0(intern!(py, "timestamp")) {
        Ok(seconds) => seconds,
        Err(_) => value.clone(),
    };
    if let Ok(number) = number.cast::<PyFloat>()
        && number.call_method0(intern!(py, "is_integer"))?.is_truthy()?
    {
        return Ok(number.call_method0(intern!(py, "__int__"))?.extract::<i64>()?.into());
    }
    Ok(BindingValue::Text(number.str()?.extract::<PyBackedStr>()?[..].into()))
}

/// Writes the fields of a message into a scope or an event. Bindings that it has none of are left out.
///
/// # Errors
/// What Python raises, such as `MemoryError`.
pub fn fill(fields: &Bound<'_, PyDict>, message: &Message) -> PyResult<()> {
    let py = fields.py();
    fields.set_item(intern!(py, "address"), &*message.address)?;
    let pairs = message.headers.iter();
    let pairs =
        PyList::new(py, pairs.map(|(name, value)| (PyBytes::new(py, name), PyBytes::new(py, value))))?;
    fields.set_item(intern!(py, "headers"), pairs)?;
    let payload = message.payload.as_ref().map(|payload| PyBytes::new(py, payload));
    fields.set_item(intern!(py, "payload"), payload)?;
    if message.bindings.is_empty() {
        return Ok(());
    }
    let protocols = PyDict::new(py);
    for binding in &message.bindings {
        let protocol = name(py, &binding.protocol);
        let fields = match protocols.get_item(&protocol)? {
            Some(fields) => fields.cast_into::<PyDict>()?,
            None => {
                let fields = PyDict::new(py);
                protocols.set_item(&protocol, &fields)?;
                fields
            }
        };
        let field = name(py, &binding.field);
        match &binding.value {
            BindingValue::Null => fields.set_item(field, py.None())?,
            BindingValue::Bool(flag) => fields.set_item(field, flag)?,
            BindingValue::Int(number) => fields.set_item(field, number)?,
            BindingValue::Text(text) => fields.set_item(field, &**text)?,
            BindingValue::Bytes(bytes) => fields.set_item(field, PyBytes::new(py, bytes))?,
        }
    }
    fields.set_item(intern!(py, "bindings"), protocols)
}

/// The name of a protocol, or of a field of its bindings. There are few, and making them takes longer than looking for them.
fn name<'py>(py: Python<'py>, text: &ByteString) -> Bound<'py, PyString> {
    static NAMES: Mutex<Vec<(ByteString, Py<PyString>)>> = Mutex::new(Vec::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, name)) = names.iter().find(|(known, _)| known == text) {
        return name.bind(py).clone();
    }
    let name = PyString::intern(py, text);
    // An application may make up its own.
    if names.len() < 64 {
        names.push((text.clone(), name.clone().unbind()));
    }
    name
}
