//! CloudFormation's intrinsic functions, as far as the template uses them.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use serde_json::{Value, json};

/// The functions in a deployment: made-up names of its resources, and the values of some
/// parameters. The others have their defaults.
#[derive(Debug)]
pub struct Intrinsics<'a> {
    /// The template after SAM's transform.
    pub template: &'a Value,
    /// Parameters with their values.
    pub parameters: &'a [(&'a str, &'a str)],
    /// The value of `Ref` for a resource.
    pub reference: fn(&str) -> String,
    /// The attribute `Arn` of a resource.
    pub arn: fn(&str) -> String,
}

impl Intrinsics<'_> {
    /// Returns whether a condition of the template holds.
    pub fn holds(&self, name: &str) -> bool {
        self.is_met(&self.template["Conditions"][name])
    }

    fn is_met(&self, condition: &Value) -> bool {
        let (function, operand) = condition.as_object().unwrap().iter().next().unwrap();
        let each = || operand.as_array().unwrap().iter();
        match function.as_str() {
            "Condition" => self.holds(operand.as_str().unwrap()),
            "Fn::Not" => !self.is_met(&operand[0]),
            "Fn::And" => each().all(|it| self.is_met(it)),
            "Fn::Or" => each().any(|it| self.is_met(it)),
            "Fn::Equals" => self.resolve(&operand[0]) == self.resolve(&operand[1]),
            other => panic!("{other}"),
        }
    }

    /// Returns a value without functions.
    pub fn resolve(&self, value: &Value) -> Value {
        match value {
            Value::Array(items) => {
                let resolved = items.iter().map(|it| self.resolve(it));
                resolved.filter(|it| !it.is_null()).collect()
            }
            Value::Object(members) => match members.iter().next() {
                Some((function, operand)) if function == "Ref" || function.starts_with("Fn::") => {
                    self.call(function, operand)
                }
                _ => {
                    let members = members.iter();
                    let resolved = members.map(|(name, it)| (name.clone(), self.resolve(it)));
                    Value::Object(resolved.collect())
                }
            },
            other => other.clone(),
        }
    }

    fn call(&self, function: &str, operand: &Value) -> Value {
        match function {
            "Ref" => self.referred(operand.as_str().unwrap()),
            "Fn::GetAtt" => {
                assert_eq!(operand[1], "Arn", "{operand}");
                json!((self.arn)(operand[0].as_str().unwrap()))
            }
            "Fn::If" => {
                let is_met = self.holds(operand[0].as_str().unwrap());
                self.resolve(&operand[if is_met { 1 } else { 2 }])
            }
            "Fn::Join" => json!(self.texts(&operand[1]).join(operand[0].as_str().unwrap())),
            "Fn::Split" => {
                let whole = self.text(&operand[1]);
                whole.split(operand[0].as_str().unwrap()).collect()
            }
            "Fn::Select" => {
                let at: usize = operand[0].to_string().trim_matches('"').parse().unwrap();
                json!(self.texts(&operand[1])[at])
            }
            "Fn::Sub" => self.substitute(operand),
            other => panic!("{other}"),
        }
    }

    fn text(&self, value: &Value) -> String {
        self.resolve(value).as_str().unwrap().to_owned()
    }

    fn texts(&self, value: &Value) -> Vec<String> {
        serde_json::from_value(self.resolve(value)).unwrap_or_else(|it| panic!("{value}: {it}"))
    }

    fn substitute(&self, operand: &Value) -> Value {
        let (pattern, variables) = match operand {
            Value::Array(parts) => (parts[0].as_str().unwrap(), &parts[1]),
            pattern => (pattern.as_str().unwrap(), &Value::Null),
        };
        let mut resolved = String::new();
        let mut rest = pattern;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').unwrap();
            resolved += before;
            resolved += &match variables.get(name) {
                Some(value) => self.text(value),
                None => self.text(&self.referred(name)),
            };
            rest = after;
        }
        json!(resolved + rest)
    }

    /// The value of a name in `Ref` or `Fn::Sub`.
    fn referred(&self, name: &str) -> Value {
        match name {
            "AWS::NoValue" => return Value::Null,
            "AWS::Partition" => return json!("aws"),
            "AWS::AccountId" => return json!("123456789012"),
            "AWS::Region" => return json!("eu-west-1"),
            _ => {}
        }
        let mut given = self.parameters.iter();
        if let Some((_, value)) = given.find(|(parameter, _)| *parameter == name) {
            return json!(value);
        }
        if let Some(parameter) = self.template["Parameters"].get(name) {
            return parameter["Default"].clone();
        }
        match name.strip_suffix(".Arn") {
            Some(resource) => json!((self.arn)(resource)),
            None => json!((self.reference)(name)),
        }
    }
}
