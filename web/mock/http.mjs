// Answers and refusals, as the real server gives them.

/** A refusal: problem+json (RFC 9457). */
export class Refused extends Error {
  constructor(status, title, detail, errors = [], headers = {}) {
    super(detail);
    Object.assign(this, { status, title, errors, headers });
  }
}

export const invalid = (field, value, expected) => new Refused(422, "Some fields are not as expected", `${field} is not as expected`, [{ field, value, expected }]);

export function send(response, status, body, headers = {}) {
  const text = body === undefined ? "" : typeof body === "string" || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  response.writeHead(status, { "Content-Type": "application/json", "Cache-Control": "no-store", ...headers });
  response.end(text);
}

export function failed(response, refused) {
  const { status, title, message: detail, errors } = refused;
  send(response, status, { type: "/v1/docs/problems/mock", title, status, detail, ...(errors.length ? { errors } : {}) }, { "Content-Type": "application/problem+json", ...refused.headers });
}

export async function bodyOf(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const text = Buffer.concat(parts).toString();
  if (text === "") return {};
  try {
    return JSON.parse(text);
  } catch {
    throw new Refused(400, "The body is no JSON", "the body is no JSON");
  }
}
