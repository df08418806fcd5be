"""What a provider's error means: for the request, for the channel, and never in the provider's words.

Its text may hold keys, hosts, account names and prompts. All that goes on is a kind, and a code and a parameter name
where they are plain names.
"""

import email.utils
import json
import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from services.dispatcher.complaint import Complaint, complaint_in, explicit_complaint_in
from services.dispatcher.usage import Json

FaultKind = Literal[
    "invalid_request",  # the provider refuses what the client sent
    "filtered",  # the provider's content policy refuses what the client sent
    "credential",  # our key is refused
    "billing",  # our account at the provider is used up
    "misconfigured",  # the provider knows no such model or path, or redirects
    "rate_limited",
    "overloaded",
    "timeout",
    "failed",  # any other failure that the provider reports
    "invalid",  # the answer cannot be understood
    "empty",  # the answer has nothing in it
]

LARGEST_ERROR_BYTES = 256 * 1024  # a longer body is not searched for a code
LONGEST_RETRY_SECONDS = 86_400.0
FILTERED = (
    "content_filter"  # the code of a refusal for the content of a request, whatever the provider calls it
)

_KIND_OF_STATUS: dict[int, FaultKind] = {
    **dict.fromkeys((400, 413, 414, 415, 422, 435), "invalid_request"),
    **dict.fromkeys((401, 403, 434), "credential"),
    402: "billing",
    **dict.fromkeys((404, 405, 410), "misconfigured"),
    **dict.fromkeys((408, 504, 522, 524), "timeout"),
    429: "rate_limited",
    **dict.fromkeys((498, 503, 529), "overloaded"),
}  # fmt: skip

# Codes and types that say more than the status they come with, in lower case and without `_`, `-`, `.` and blanks. A used-up
# account answers 429 at OpenAI (https://platform.openai.com/docs/guides/error-codes) and 400 at Alibaba, a wrong key or too many
# tokens a minute 400 or 413 at others. Four digits are Zhipu's (https://docs.z.ai/api-reference/api-code).
_KINDS_BY_WORD: dict[FaultKind, str] = {
    "billing": """
        credit_balance_exhausted insufficient_balance insufficient_quota organization_spend_limit_exceeded
        organization_usage_limit_exceeded project_spend_limit_exceeded enforced_spend_limit_reached billing_error
        billing_hard_limit_reached billing_not_active arrearage payment_required insufficient_funds insufficient_credits
        prepaid_bill_overdue postpaid_bill_overdue account_overdue_error 1113 1309""",
    "rate_limited": """
        rate_limit_exceeded rate_limit_error rate_limit_reached slow_down too_many_requests resource_exhausted throttling
        throttling_exception throttling.rate_quota throttling.allocation_quota throttled limit_requests limit_burst_rate
        too_many_requests_exception service_quota_exceeded_exception 1302 1303 1304 1305 1308 1310""",
    "credential": """
        invalid_api_key account_deactivated authentication_error permission_error invalid_authentication_error
        unauthorized unauthenticated permission_denied access_denied access_denied_exception unrecognized_client_exception
        expired_token_exception invalid_signature_exception incorrect_api_key account_suspended api_key_invalid
        api_key_expired
        1000 1001 1002 1003 1004 1110 1111 1112 1120 1121 1220""",
    "misconfigured": """
        model_not_found deployment_not_found not_found not_found_error model_not_exist model_not_supported
        resource_not_found_exception model_access_denied invalid_endpoint_or_model.not_found 1211 1212 1221 1222""",
    "filtered": """
        content_filter content_policy_violation responsible_ai_policy_violation data_inspection_failed
        inappropriate_content moderation_blocked sensitive content_moderation guardrail_intervened 1301""",
    "invalid_request": """
        invalid_request_error invalid_parameter invalid_parameter_error invalid_value unsupported_parameter
        context_length_exceeded invalid_argument failed_precondition validation_exception validation_error
        bad_request bad_request_error extra_forbidden request_too_large string_above_max_length
        missing_required_parameter out_of_range 1210 1213 1214 1215 1261""",
    "overloaded": """
        overloaded_error overloaded engine_overloaded engine_overloaded_error service_unavailable unavailable
        service_unavailable_exception service_unavailable_error model_not_ready_exception server_overloaded 1312""",
    "timeout": """
        timeout_error timeout deadline_exceeded request_timeout request_timed_out model_timeout_exception gateway_timeout""",
}  # fmt: skip

_KIND_OF_MINIMAX: dict[str, FaultKind] = {
    "1001": "timeout",
    **dict.fromkeys(("1002", "1039", "1041", "2056"), "rate_limited"),
    **dict.fromkeys(("1004", "2049"), "credential"),
    "1008": "billing",
    **dict.fromkeys(("1026", "1027"), "filtered"),
    **dict.fromkeys(("1042", "2013"), "invalid_request"),
}  # fmt: skip

# What the beginning of a text says, for providers that say it nowhere else. Only the beginning: further on a provider may quote
# the client's request, which must not be able to switch off a channel.
_KIND_OF_TEXT: tuple[tuple[str, FaultKind], ...] = (
    (r"(your |the |account |user |api )*(credit |account )*(balance )?(is )?(too low|insufficient|overdue)", "billing"),
    (r"(your |the |account )*(has )?(insufficient|not enough|no|ran out of|run out of|out of)( account)? "
     r"(balance|credit|fund|quota)", "billing"),
    (r".{0,12}(余额不足|欠费)", "billing"),
    (r"(error: )?(invalid|incorrect|missing|no|wrong|unauthorized)( or missing| provided)? "
     r"(api[ _-]?key|token|authentication|access)", "credential"),
    (r"(your |the )?api[ _-]?key (is )?(not valid|invalid|expired|not found)", "credential"),
    (r"(error: )?(rate limit|too many requests|request limit|you have exceeded your rate|throttl)", "rate_limited"),
    (r".{0,12}(速率限制|请求过于频繁|并发)", "rate_limited"),
    (r"(error: )?(the |this |our )?(model|server|service|system|engine)s?( is| are)?( currently| temporarily)* "
     r"(overloaded|busy|unavailable|at capacity)", "overloaded"),
    (r"(error: )?(the |your )?(request |upstream |operation )*(timed? ?out|timeout)", "timeout"),
    (r"(the |your )?(request|response|prompt|input|content)[a-z ]{0,40}(content (management )?policy|flagged|sensitive)",
     "filtered"),
    (r"(this |the )?(model'?s?|maximum)[a-z ]{0,20} context length", "invalid_request"),
)  # fmt: skip
_TEXT_CHARACTERS = 160

_PLAIN_NAME = re.compile(r"[a-z0-9_.\[\]]{1,64}")
_JOINTS = re.compile(r"[\s_.-]+")
_TEXTS = [(re.compile(pattern, re.IGNORECASE), kind) for pattern, kind in _KIND_OF_TEXT]
_KIND_OF_WORD = {
    _JOINTS.sub("", word): kind for kind, words in _KINDS_BY_WORD.items() for word in words.split()
}


class UpstreamError(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider's error means; holds nothing of its text.

    `status` is the provider's, None for an error inside an answer that names none. `code` and `param` are plain names.
    `retry_after_seconds` is when the provider wants to be asked again, None when it does not say.
    """

    kind: FaultKind
    status: int | None = None
    code: str | None = None
    param: str | None = None
    retry_after_seconds: float | None = None

    @property
    def is_client_fault(self) -> bool:
        """Whether every channel would refuse the request, so that it goes back to the client as a 400."""
        return self.kind in ("invalid_request", "filtered")

    @property
    def is_channel_fault(self) -> bool:
        """Whether the channel serves nobody until an operator acts; if neither, another channel or moment may do."""
        return self.kind in ("credential", "billing", "misconfigured")


def classify_status(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """Return what an answer with `status`, which is none of the 2xx, means. `headers` have lower-case names."""
    complaint = complaint_in(_document_in(body), is_error=True) or Complaint()
    kind: FaultKind = "misconfigured" if 300 <= status < 400 else _KIND_OF_STATUS.get(status, "failed")
    if 400 <= status < 500:
        kind = _more_telling(_kind_of(complaint, headers.get("x-amzn-errortype", "")), kind)
    wait = _retry_after(headers)
    return _error(complaint, kind, status, complaint.retry_after_seconds if wait is None else wait)


def error_in(document: Json, *, is_answer: bool = False) -> UpstreamError | None:
    """Return the error that a document under a status of 200 is, or an event of a stream; None when it does not look like one.

    A document that `is_answer`, with the members of one, is an error only if it says so in the member for that.
    """
    complaint = explicit_complaint_in(document) if is_answer else complaint_in(document)
    if complaint is None:
        return None
    codes = (complaint.code, complaint.status_word)
    status = next((int(code) for code in codes if re.fullmatch(r"[45][0-9][0-9]", code)), None)
    kind = _KIND_OF_STATUS.get(status or 0, "failed")
    if status is None or status < 500:
        kind = _more_telling(_kind_of(complaint), kind)
    return _error(complaint, kind, status, complaint.retry_after_seconds)


def _error(complaint: Complaint, kind: FaultKind, status: int | None, wait: float | None) -> UpstreamError:
    return UpstreamError(
        kind=kind,
        status=status,
        code=FILTERED if kind == "filtered" else _plain(complaint.code),
        param=_plain(complaint.param),
        retry_after_seconds=None if wait is None else min(max(wait, 0.0), LONGEST_RETRY_SECONDS),
    )


def _more_telling(by_words: FaultKind | None, by_status: FaultKind) -> FaultKind:
    """Return which of two meanings counts: many call every 4xx an invalid request, also those that are about us."""
    if by_words is None:
        return by_status
    if by_words == "invalid_request" and by_status not in ("invalid_request", "failed"):
        return by_status
    if by_words == "filtered" and by_status in ("billing", "misconfigured", "rate_limited"):
        return by_status
    return by_words


def _kind_of(complaint: Complaint, *words: str) -> FaultKind | None:
    """Return what a provider's words mean, the most telling first; None when they say nothing that is known."""
    if complaint.is_minimax:
        return _KIND_OF_MINIMAX.get(complaint.code, "failed")
    start = complaint.text[:_TEXT_CHARACTERS]
    by_text = next((kind for pattern, kind in _TEXTS if pattern.match(start)), None)
    if by_text in ("billing", "credential"):
        return by_text  # Anthropic and Google call these an invalid request
    for word in (complaint.code, complaint.type, complaint.status_word, *words):
        kind = _KIND_OF_WORD.get(_JOINTS.sub("", word.rpartition("#")[2].partition(":")[0].lower()))
        if kind is not None:
            return kind
    if complaint.is_validation:
        return "invalid_request"
    return by_text


def _document_in(body: bytes) -> Json:
    if len(body) > LARGEST_ERROR_BYTES:
        return None
    try:
        document: Json = json.loads(body)
    except (ValueError, RecursionError):
        return None  # HTML, plain text, nothing: the status alone speaks
    return document


def _plain(word: str) -> str | None:
    """Return a word that is a plain name or a number; anything else may be text."""
    return word if _PLAIN_NAME.fullmatch(word) else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the wait that `retry-after-ms` or `retry-after` asks for; a date counts from the answer's own `date`."""
    seconds = _decimal(headers.get("retry-after-ms", ""))
    if seconds is not None:
        seconds /= 1000
    else:
        seconds = _decimal(headers.get("retry-after", ""))
    if seconds is None:
        try:
            until = email.utils.parsedate_to_datetime(headers["retry-after"])
            seconds = (until - email.utils.parsedate_to_datetime(headers["date"])).total_seconds()
        except (KeyError, ValueError, TypeError, OverflowError):
            return None
    return seconds


def _decimal(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[ \t]*[0-9]{1,15}(\.[0-9]{1,15})?[ \t]*", text) else None
