"""What people read: one sentence for each error code, in English and Chinese.

A code is stable and part of the interface; a sentence may be improved at any time. Placeholders are the error's details.
"""

from collections.abc import Mapping

from shared.console_messages import CONSOLE

LANGUAGES = ("en", "zh")

MESSAGES: dict[str, tuple[str, str]] = {
    **CONSOLE,
    # 400
    "invalid_json": (
        "The request body is not valid JSON: {problem}.",
        "请求体不是有效的 JSON：{problem}。",
    ),
    "unknown_parameter": ("There is no parameter '{name}' here.", "此处没有参数“{name}”。"),
    "invalid_value": ("Invalid value: {problem}.", "参数值无效：{problem}。"),
    "missing_required_parameter": (
        "Missing required parameter: '{name}'.",
        "缺少必填参数：“{name}”。",
    ),
    "invalid_http": ("The HTTP request is malformed.", "HTTP 请求格式错误。"),
    "head_too_large": (
        "The head of the HTTP request exceeds the limit of {limit_bytes} bytes.",
        "HTTP 请求头超过 {limit_bytes} 字节的上限。",
    ),
    "invalid_idempotency_key": (
        "The header 'Idempotency-Key' must be given once, with 1 to 255 visible ASCII characters.",
        "请求头“Idempotency-Key”只能出现一次，且须为 1 至 255 个可见 ASCII 字符。",
    ),
    # 401
    "missing_api_key": (
        "No API key was given. Send it as 'Authorization: Bearer sk-relay-…'.",
        "未提供 API 密钥。请使用“Authorization: Bearer sk-relay-…”发送。",
    ),
    "invalid_api_key": (
        "The API key is not valid. Check that it was copied whole and has not been deleted.",
        "API 密钥无效。请确认密钥完整且未被删除。",
    ),
    "expired_api_key": ("The API key has expired.", "API 密钥已过期。"),
    "revoked_api_key": ("The API key has been revoked.", "API 密钥已被吊销。"),
    # 402
    "insufficient_balance": (
        "The balance is used up: this request may cost up to {needed_usd} USD and {available_usd} USD are available. "
        "Top up, or lower 'max_tokens'.",
        "余额不足：本次请求最多需要 {needed_usd} 美元，可用余额为 {available_usd} 美元。请充值或减小“max_tokens”。",
    ),
    "request_too_expensive": (
        "This request may cost up to {needed_usd} USD and {available_usd} USD are available. "
        "With 'max_tokens' of at most {affordable_output_tokens} it can be served.",
        "本次请求最多需要 {needed_usd} 美元，可用余额为 {available_usd} 美元。"
        "将“max_tokens”设为不超过 {affordable_output_tokens} 即可处理。",
    ),
    "spend_day_reached": (
        "Of the {limit_usd} USD that this {scope} may spend in a day (UTC) {left_usd} are left, and this request may cost up to "
        "{needed_usd} USD.",
        "该 {scope} 每日（UTC）消费上限为 {limit_usd} 美元，尚余 {left_usd} 美元，而本次请求最多需要 {needed_usd} 美元。",
    ),
    "spend_month_reached": (
        "Of the {limit_usd} USD that this {scope} may spend in a month (UTC) {left_usd} are left, and this request may cost up to "
        "{needed_usd} USD.",
        "该 {scope} 每月（UTC）消费上限为 {limit_usd} 美元，尚余 {left_usd} 美元，而本次请求最多需要 {needed_usd} 美元。",
    ),
    "spend_total_reached": (
        "Of the {limit_usd} USD that this {scope} may spend in all {left_usd} are left, and this request may cost up to "
        "{needed_usd} USD.",
        "该 {scope} 总消费上限为 {limit_usd} 美元，尚余 {left_usd} 美元，而本次请求最多需要 {needed_usd} 美元。",
    ),
    "balance_used_up": (
        "The balance is used up: the answer was ended here, and what came until now was charged. Top up to get longer answers.",
        "余额已用完：回答在此结束，已输出部分已计费。请充值以获取更长的回答。",
    ),
    "balance_held_by_others": (
        "What is left of the balance is held by your other requests that are still running: the answer was ended here, and what "
        "came until now was charged.",
        "余额正被您其他仍在进行的请求占用：回答在此结束，已输出部分已计费。",
    ),
    # 403
    "model_not_allowed": (
        "This API key may not use the model '{model}'.",
        "此 API 密钥无权使用模型“{model}”。",
    ),
    "ip_not_allowed": (
        "This API key may not be used from this address.",
        "此 API 密钥不允许从当前地址使用。",
    ),
    "account_suspended": ("The account is suspended.", "账户已被停用。"),
    # 404
    "model_not_found": (
        "The model '{model}' does not exist. GET /v1/models lists what does.",
        "模型“{model}”不存在。可通过 GET /v1/models 查看可用模型。",
    ),
    "unknown_url": ("Unknown route: {method} {path}.", "未知的路由：{method} {path}。"),
    "not_found": ("There is no such {what}.", "不存在该{what}。"),
    # 405, 413, 415
    "method_not_allowed": (
        "{method} is not allowed here; use {allowed}.",
        "此处不允许 {method}，请使用 {allowed}。",
    ),
    "request_too_large": (
        "The request body exceeds the limit of {limit_bytes} bytes.",
        "请求体超过 {limit_bytes} 字节的上限。",
    ),
    "unsupported_media_type": (
        "The request body must be 'application/json', without content encoding.",
        "请求体必须是“application/json”，且不使用内容编码。",
    ),
    # 408-like
    "request_timeout": (
        "The request was not received within {limit_seconds} seconds.",
        "请求未在 {limit_seconds} 秒内接收完毕。",
    ),
    # 429
    "too_many_wrong_keys": (
        "Too many wrong API keys were tried. Wait before trying a key that has not been used here recently.",
        "错误的 API 密钥尝试次数过多。请稍后再尝试近期未在此使用过的密钥。",
    ),
    "balance_held": (
        "The balance is held by requests that are still running. Try again when one has ended.",
        "余额正被仍在进行的请求占用，请稍后重试。",
    ),
    "spend_limit_held": (
        "What the spending limit of this {scope} leaves is held by requests that are still running. Try again when one has ended.",
        "该 {scope} 的消费限额余量正被仍在进行的请求占用，请稍后重试。",
    ),
    "requests_per_minute_exceeded": (
        "The limit of {limit} requests per minute for this {scope} is reached. Try again in {retry_seconds} s.",
        "该 {scope} 已达到每分钟 {limit} 次请求的上限，请在 {retry_seconds} 秒后重试。",
    ),
    "tokens_per_minute_exceeded": (
        "The limit of {limit} tokens per minute for this {scope} is reached; this request may use up to {needed}. "
        "Try again in {retry_seconds} s.",
        "该 {scope} 已达到每分钟 {limit} 个令牌的上限；本次请求最多使用 {needed} 个。请在 {retry_seconds} 秒后重试。",
    ),
    "concurrent_requests_exceeded": (
        "The limit of {limit} requests at the same time for this {scope} is reached. Try again when one has ended.",
        "该 {scope} 已达到同时 {limit} 个请求的上限，请在某个请求结束后重试。",
    ),
    "request_exceeds_limit": (
        "This request may use up to {needed} tokens, more than the limit of {limit} per minute for this {scope} ever allows. "
        "Shorten it or lower 'max_tokens'.",
        "本次请求最多使用 {needed} 个令牌，超过该 {scope} 每分钟 {limit} 个的上限。请缩短请求或减小“max_tokens”。",
    ),
    # 500
    "internal_error": (
        "Relay met an unexpected fault. Quote the request id when you report it.",
        "Relay 遇到意外错误。反馈时请附上请求 ID。",
    ),
    # 502, 504
    "upstream_error": (
        "The upstream provider could not answer this request.",
        "上游服务商未能处理此请求。",
    ),
    "upstream_rejected": (
        "The upstream provider refused this request as invalid (HTTP {status}).",
        "上游服务商认为请求无效并拒绝（HTTP {status}）。",
    ),
    "upstream_invalid_response": (
        "The upstream provider's answer could not be understood.",
        "无法解析上游服务商的响应。",
    ),
    "upstream_disconnected": (
        "The upstream provider ended the answer before it was complete.",
        "上游服务商在响应完成前中断。",
    ),
    "upstream_timeout": (
        "The upstream provider was silent for {limit_seconds} seconds.",
        "上游服务商在 {limit_seconds} 秒内没有响应。",
    ),
    # 503
    "no_channel_available": (
        "No upstream channel can serve the model '{model}' at the moment.",
        "当前没有可用渠道提供模型“{model}”。",
    ),
    "service_unavailable": (
        "A part of Relay ({part}) does not answer at the moment. Try again shortly.",
        "Relay 的某个组件（{part}）暂时没有响应，请稍后重试。",
    ),
    "lease_ended": (
        "This edge has just taken a new lease. Try again.",
        "当前边缘节点刚刚更换租约，请重试。",
    ),
    "overloaded": (
        "Relay is at its limit of running requests. Try again shortly.",
        "Relay 正在处理的请求已达上限，请稍后重试。",
    ),
    "stream_interrupted": (
        "The answer was interrupted inside Relay and is not complete. It was not charged.",
        "响应在 Relay 内部中断，内容不完整，本次不计费。",
    ),
    "deadline_exceeded": (
        "The request ran longer than the limit of {limit_seconds} seconds.",
        "请求运行时间超过 {limit_seconds} 秒的上限。",
    ),
    # the rules of charges, for receipts
    "rule_c1": ("Complete; charged for what the provider reported.", "完整应答；按上游报告的用量计费。"),
    "rule_c2": (
        "Complete, but the provider reported no usage; charged for what was counted here, at most what was held.",
        "完整应答，但上游未报告用量；按本地统计计费，不超过预留金额。",
    ),
    "rule_c3": (
        "Complete; the provider reported that nothing was used. Free.",
        "完整应答；上游报告用量为零，不计费。",
    ),
    "rule_c4": (
        "Complete, but what the provider reported cannot be right; charged within what was held.",
        "完整应答，但上游报告的用量不可信；在预留金额内计费。",
    ),
    "rule_c5": ("No provider took the request. Free.", "上游均未接受请求，不计费。"),
    "rule_c6": (
        "The client left before the end; by the policy of the provider, charged for what is known to be used, or free.",
        "客户端提前断开；按上游策略，对已知用量计费或不计费。",
    ),
    "rule_c7": ("The provider broke off. Free.", "上游中断，不计费。"),
    "rule_c8": ("Relay broke off. Free.", "Relay 中断，不计费。"),
    "rule_c9": ("Nobody could say how it ended. Free.", "无法得知结果，不计费。"),
    "rule_c10": (
        "The wallet could not pay for more, so the answer was ended; charged for what came until then.",
        "余额不足以继续，回答被终止；按已输出部分计费。",
    ),
    # operators
    "migration_refused": ("The database cannot be migrated: {problem}.", "无法迁移数据库：{problem}。"),
    "codes_not_set_up": (
        "There are no codes here: set RELAY_CODE_PEPPER for billing.",
        "尚未启用兑换码：请为 billing 设置 RELAY_CODE_PEPPER。",
    ),
    "code_claimed": ("The code was used by another account.", "兑换码已被其他账户使用。"),
    "code_expired": ("The code has expired.", "兑换码已过期。"),
    "code_revoked": ("The code is no longer valid.", "兑换码已失效。"),
    "too_many": (
        "There are {limit} {what} already, which is the most there can be. Remove one first.",
        "{what} 已达到 {limit} 个的上限，请先删除一个。",
    ),
    "group_in_use": (
        "Accounts are in this group. Take them out first.",
        "该分组中还有账户，请先将它们移出。",
    ),
    "already_exists": ("A {what} named '{name}' exists already.", "名为“{name}”的{what}已存在。"),
    "idempotency_key_in_use": (
        "The request {id} with this 'Idempotency-Key' is running or was answered; it is not run again, and its answer is not kept.",
        "使用此“Idempotency-Key”的请求 {id} 正在处理或已经应答；不会再次执行，其应答也未保存。",
    ),
    "idempotency_key_reused": (
        "This 'Idempotency-Key' was used for another request. Use a new key for each request.",
        "此“Idempotency-Key”已用于另一请求。请为每个请求使用新的键。",
    ),
    "id_conflict": (
        "The id {id} was used before with other arguments; nothing was changed.",
        "标识 {id} 曾以不同参数使用过，未做任何更改。",
    ),
}


def render(code: str, language: str, details: Mapping[str, str | int]) -> str:
    """Return the sentence of `code` in `language`, English for a language we do not have.

    A code without a sentence, or a detail that is missing, yields the bare code: wording never turns one error into another.
    """
    sentences = MESSAGES.get(code)
    if sentences is None:
        return code
    try:
        return sentences[LANGUAGES.index(language) if language in LANGUAGES else 0].format_map(details)
    except (KeyError, ValueError):
        return code
