//! What operations carry and answer: bodies, statuses, headers, media types, and who may call.

use super::reader::Reader;
use super::tree::{Entry, Node, shorten};
use crate::model::operation::{Body, Content, Header, Response, Status};
use crate::model::{Finding, Shape, ShapeKind};

impl<'a> Reader<'a> {
    pub(super) fn body(&mut self, node: &'a Node, class: &str, obstacles: &mut Vec<String>) -> Option<Body> {
        let (target, name) = self.resolve_named(node)?;
        let hint = name.unwrap_or_else(|| format!("{class} Request"));
        let content = self.content(target, &hint, "the request", obstacles)?;
        Some(Body {
            required: target.flag("required"),
            media_type: content.media_type,
            shape: content.shape,
            description: target.text_at("description").unwrap_or_default().trim().to_owned(),
        })
    }

    pub(super) fn responses(&mut self, node: &'a Node, class: &str, obstacles: &mut Vec<String>, entry: &Entry) -> Vec<Response> {
        let mut responses = Vec::new();
        for answer in node.get("responses").map(Node::entries).unwrap_or_default() {
            if answer.key.starts_with("x-") {
                continue;
            }
            let Some(status) = status(&answer.key) else {
                let message = format!("`{}` is not a status", shorten(&answer.key));
                self.find(Finding::error("malformed-status", message, Some(answer.position), "write a status such as 200, 4XX or default"));
                continue;
            };
            let Some((target, name)) = self.resolve_named(&answer.value) else { continue };
            let good = matches!(status, Status::Code(200..=299) | Status::Range(2));
            let suffix = if good { "Response".to_owned() } else { format!("{} Response", answer.key) };
            let hint = name.unwrap_or_else(|| format!("{class} {suffix}"));
            let mut ignored = Vec::new();
            let content = self.content(target, &hint, "the answer", if good { &mut *obstacles } else { &mut ignored });
            responses.push(Response {
                status,
                description: target.text_at("description").unwrap_or_default().trim().to_owned(),
                headers: self.headers(target, &hint),
                content,
            });
        }
        if responses.is_empty() {
            let message = format!("`{}` says nothing about its answers", entry.key);
            self.find(Finding::warning("no-responses", message, Some(entry.position), "describe at least one answer"));
        }
        responses
    }

    fn headers(&mut self, node: &'a Node, hint: &str) -> Vec<Header> {
        let mut headers = Vec::new();
        for entry in node.get("headers").map(Node::entries).unwrap_or_default() {
            // The specification says that a description of this one is ignored.
            if entry.key.eq_ignore_ascii_case("content-type") || !self.check_name("header", entry) {
                continue;
            }
            let Some(target) = self.resolve(&entry.value) else { continue };
            let shape = target
                .get("schema")
                .map_or_else(|| Shape::of(ShapeKind::Any), |schema| self.shape(schema, &format!("{hint} {}", entry.key)));
            headers.push(Header {
                name: entry.key.clone(),
                required: target.flag("required"),
                shape,
                description: target.text_at("description").unwrap_or_default().trim().to_owned(),
            });
        }
        headers
    }

    /// The media type that is built: JSON where the source has it. None when there is no body.
    fn content(&mut self, node: &'a Node, hint: &str, what: &str, obstacles: &mut Vec<String>) -> Option<Content> {
        let entries = node.get("content").map(Node::entries).unwrap_or_default();
        let json = entries.iter().find(|entry| entry.key == "application/json");
        let entry = json.or_else(|| entries.iter().find(|entry| holds_json(&entry.key))).or_else(|| entries.first())?;
        let media_type = if entry.key == "*/*" { "application/json".to_owned() } else { entry.key.clone() };
        if !holds_json(&entry.key) {
            obstacles.push(format!("{what} travels as `{}`, and only JSON is built", shorten(&entry.key)));
        } else if entries.len() > 1 {
            let others: Vec<String> = entries.iter().filter(|other| other.key != entry.key).map(|other| shorten(&other.key)).collect();
            let message = format!("{what} may also travel as {}; only `{media_type}` is built", others.join(", "));
            self.find(Finding::warning("other-media-types", message, Some(node.position), "remove the other media types"));
        }
        let shape = entry.value.get("schema").map_or_else(|| Shape::of(ShapeKind::Any), |schema| self.shape(schema, hint));
        Some(Content { media_type, shape })
    }

    /// Names of the schemes any of which suffices; empty when the operation is open to all.
    pub(super) fn security(&mut self, node: &'a Node) -> Vec<String> {
        let Some(demands) = node.get("security").or_else(|| self.root.get("security")) else { return Vec::new() };
        if demands.items().iter().any(|demand| demand.entries().is_empty()) {
            return Vec::new();
        }
        let schemes = self.root.get("components").and_then(|components| components.get("securitySchemes"));
        let mut names = Vec::new();
        for entry in demands.items().iter().flat_map(Node::entries) {
            if schemes.and_then(|schemes| schemes.get(&entry.key)).is_none() {
                let message = format!("the security scheme `{}` is described nowhere", shorten(&entry.key));
                self.find(Finding::warning(
                    "unknown-security-scheme",
                    message,
                    Some(entry.position),
                    "describe it under components/securitySchemes",
                ));
            }
            if !names.contains(&entry.key) {
                names.push(entry.key.clone());
            }
        }
        names
    }
}

fn status(key: &str) -> Option<Status> {
    if key == "default" {
        return Some(Status::Default);
    }
    if let Some(class) = key.strip_suffix("XX").or_else(|| key.strip_suffix("xx")) {
        return class.parse::<u8>().ok().filter(|class| (1..=5).contains(class)).map(Status::Range);
    }
    key.parse::<u16>().ok().filter(|code| (100..=599).contains(code)).map(Status::Code)
}

fn holds_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence == "*/*" || essence == "application/*" || essence.ends_with("+json")
}
