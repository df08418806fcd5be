import type { paths } from "./types";

/** The error of the API, or of the network (`status` 0, code `network`). `param` names the field that it is about. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly type: string;
  readonly param: string | null;
  readonly requestId: string | null;
  readonly retryAfterSeconds: number | null;

  constructor(
    message: string,
    about: {
      status: number;
      code: string;
      type?: string;
      param?: string | null;
      requestId?: string | null;
      retryAfterSeconds?: number | null;
    },
  ) {
    super(message);
    this.name = "ApiError";
    this.status = about.status;
    this.code = about.code;
    this.type = about.type ?? "";
    this.param = about.param ?? null;
    this.requestId = about.requestId ?? null;
    this.retryAfterSeconds = about.retryAfterSeconds ?? null;
  }

  /** The person closed the dialog that asks who they are: nothing went wrong, and nothing need be said. */
  get isDismissed(): boolean {
    return this.code === FRESH_NEEDED;
  }
}

type Method = "get" | "post" | "put" | "patch" | "delete";
type OperationOf<P extends keyof paths, M extends Method> = NonNullable<paths[P][M]>;

/** The paths that have this method. */
export type PathOf<M extends Method> = {
  [P in keyof paths]: [NonNullable<paths[P][M]>] extends [never] ? never : P;
}[keyof paths];

/** What a path answers to this method, as decoded JSON. */
export type Answer<P extends keyof paths, M extends Method> =
  OperationOf<P, M> extends {
    responses: { 200: { content: { "application/json": infer Body } } };
  }
    ? Body
    : never;

/** What a path takes after the question mark. */
export type QueryOf<P extends keyof paths, M extends Method> =
  OperationOf<P, M> extends { parameters: { query?: infer Q } } ? NonNullable<Q> : never;

type PathParameters<P extends keyof paths, M extends Method> =
  OperationOf<P, M> extends { parameters: { path: infer Names } } ? { path: Names } : { path?: never };
type RequestBody<P extends keyof paths, M extends Method> =
  OperationOf<P, M> extends { requestBody: { content: { "application/json": infer Body } } }
    ? { body: Body }
    : { body?: never };

/** What one call takes: `path`, `query` and `body` as the document says, and what ends it early. */
export type Options<P extends keyof paths, M extends Method> = PathParameters<P, M> &
  RequestBody<P, M> & { query?: QueryOf<P, M>; signal?: AbortSignal };

/** The options may be left out where all of them may. */
export type OptionArguments<P extends keyof paths, M extends Method> =
  Record<string, never> extends Options<P, M> ? [options?: Options<P, M>] : [options: Options<P, M>];

interface Surroundings {
  /** `Accept-Language` of every call. */
  language: () => string;
  /** A sentence of our own, where the server could not give one. */
  sentence: (about: "network" | "unreadable") => string;
  /** Asks who the person is, and says whether they have shown it. */
  prove: () => Promise<boolean>;
  /** Somebody has to sign in first. */
  signedOut: () => void;
}

const FRESH_NEEDED = "fresh_sign_in_needed";
const surroundings: Surroundings = {
  language: () => "en",
  sentence: (about) => about,
  prove: async () => false,
  signedOut: () => undefined,
};

/** Tells the client what surrounds it; each part of the console gives what it owns. */
export function surround(given: Partial<Surroundings>): void {
  Object.assign(surroundings, given);
}

/** The address of a path with its parameters, for links and downloads. */
export function apiUrl<P extends PathOf<"get">>(path: P, ...[options]: OptionArguments<P, "get">): string {
  return address(path, options as Loose | undefined);
}

export const api = {
  get: <P extends PathOf<"get">>(path: P, ...[options]: OptionArguments<P, "get">) =>
    call<Answer<P, "get">>("GET", path, options as Loose | undefined),
  post: <P extends PathOf<"post">>(path: P, ...[options]: OptionArguments<P, "post">) =>
    call<Answer<P, "post">>("POST", path, options as Loose | undefined),
  put: <P extends PathOf<"put">>(path: P, ...[options]: OptionArguments<P, "put">) =>
    call<Answer<P, "put">>("PUT", path, options as Loose | undefined),
  patch: <P extends PathOf<"patch">>(path: P, ...[options]: OptionArguments<P, "patch">) =>
    call<Answer<P, "patch">>("PATCH", path, options as Loose | undefined),
  delete: <P extends PathOf<"delete">>(path: P, ...[options]: OptionArguments<P, "delete">) =>
    call<Answer<P, "delete">>("DELETE", path, options as Loose | undefined),
};

/** Any error as one of ours, so that a page need not ask what it caught. */
export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError(surroundings.sentence("network"), { status: 0, code: "network" });
}

interface Loose {
  path?: Record<string, string>;
  query?: Record<string, unknown>;
  body?: unknown;
  signal?: AbortSignal;
}

function address(path: string, options: Loose = {}): string {
  const filled = path.replace(/{([a-z_]+)}/g, (_, name: string) =>
    (options.path?.[name] ?? "").split("/").map(encodeURIComponent).join("/"),
  );
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(options.query ?? {})) {
    if (value !== undefined && value !== null && value !== "") query.set(name, String(value));
  }
  const text = query.toString();
  return text ? `${filled}?${text}` : filled;
}

async function call<T>(method: string, path: string, options: Loose = {}): Promise<T> {
  try {
    return await once<T>(method, path, options);
  } catch (error) {
    if (error instanceof ApiError && error.code === FRESH_NEEDED && (await surroundings.prove())) {
      return once<T>(method, path, options);
    }
    throw error;
  }
}

async function once<T>(method: string, path: string, options: Loose): Promise<T> {
  return (await readJson(await send(method, path, options))) as T;
}

/** Sends a request and returns its good answer, unread. For answers that come bit by bit. Raises ApiError. */
export function openStream(path: string, body: unknown, signal: AbortSignal): Promise<Response> {
  return send("POST", path, { body, signal });
}

async function send(method: string, path: string, options: Loose): Promise<Response> {
  const headers = new Headers({
    accept: "application/json, text/event-stream",
    "accept-language": surroundings.language(),
  });
  if (method !== "GET") headers.set("x-relay-console", "1");
  if (options.body !== undefined) headers.set("content-type", "application/json");
  let response: Response;
  try {
    response = await fetch(address(path, options), {
      method,
      headers,
      credentials: "same-origin",
      redirect: "error",
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      ...(options.signal ? { signal: options.signal } : {}),
    });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError(surroundings.sentence("network"), { status: 0, code: "network" });
  }
  if (!response.ok) {
    const error = await readError(response);
    if (error.status === 401 && !isAboutSigningIn(path)) surroundings.signedOut();
    throw error;
  }
  return response;
}

/** A 401 there speaks of the password or code that was shown, not of the session. */
function isAboutSigningIn(path: string): boolean {
  return path.startsWith("/api/sign-") || path.startsWith("/api/me/confirm") || path === "/api/me/password";
}

async function readJson(response: Response): Promise<unknown> {
  const text = await response.text();
  try {
    return text === "" ? {} : JSON.parse(text);
  } catch {
    throw unreadable(response);
  }
}

async function readError(response: Response): Promise<ApiError> {
  const body = await readJson(response).catch(() => null);
  const error = isErrorBody(body) ? body.error : null;
  if (!error) return unreadable(response);
  const retryAfter = Number(response.headers.get("retry-after") ?? Number.NaN);
  return new ApiError(error.message, {
    status: response.status,
    code: error.code,
    type: error.type,
    param: error.param,
    requestId: response.headers.get("x-request-id"),
    retryAfterSeconds: Number.isFinite(retryAfter) ? retryAfter : null,
  });
}

function unreadable(response: Response): ApiError {
  return new ApiError(surroundings.sentence("unreadable"), {
    status: response.status,
    code: "unreadable",
    requestId: response.headers.get("x-request-id"),
  });
}

function isErrorBody(
  body: unknown,
): body is { error: { message: string; type: string; param: string | null; code: string } } {
  const error = (body as { error?: { message?: unknown; code?: unknown } } | null)?.error;
  return typeof error?.message === "string" && typeof error.code === "string";
}
