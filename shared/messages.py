"""What people read: one sentence for each error code, in English and Chinese.

A code is stable and part of the interface; a sentence may be improved at any time. Placeholders are the error's details.
"""

from collections.abc import Mapping

LANGUAGES = ("en", "zh")

MESSAGES: dict[str, tuple[str, str]] = {
    # 400
    "invalid_json": (
        "The request body is not valid JSON: {problem}.",
        "请求体不是有效的 JSON：{problem}。",
    ),
    "unknown_parameter": ("There is no parameter '{name}' here.", "此处没有参数“{name}”。"),
    "invalid_value": ("Invalid value: {problem}.", "参数值无效：{problem}。"),
    "wrong_password": ("The password is wrong.", "密码不正确。"),
    "wrong_code": (
        "The code is wrong, or was used already.",
        "验证码不正确或已使用。",
    ),
    "password_length": (
        "A password has {least} to {most} characters.",
        "密码应为 {least} 至 {most} 个字符。",
    ),
    "password_too_common": (
        "This password is among those that leak most often. Choose another.",
        "该密码属于最常泄露的密码之一，请换一个。",
    ),
    "link_not_valid": (
        "The link is no longer valid: it was used, has expired, or is not whole. Ask for a new one.",
        "链接已失效：可能已被使用、过期或不完整。请重新获取。",
    ),
    "site_changed": (
        "Somebody else has changed the settings meanwhile. Look at them again before you save yours.",
        "设置已被他人修改，请重新查看后再保存。",
    ),
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
    "wrong_credentials": (
        "E-mail address or password is wrong.",
        "邮箱或密码不正确。",
    ),
    "sign_in_needed": ("Sign in first.", "请先登录。"),
    "management_key_needed": (
        "Here a management key is needed, 'Authorization: Bearer mk-relay-…', or a session; a key to /v1 does not work.",
        "此接口需要管理密钥（Authorization: Bearer mk-relay-…）或登录会话，/v1 的密钥在此无效。",
    ),
    "session_ended": ("You are signed out. Sign in again.", "您已退出登录，请重新登录。"),
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
    "other_site": (
        "This request does not come from the console's own pages, so it was not obeyed.",
        "该请求并非来自控制台页面，已拒绝执行。",
    ),
    "session_needed": (
        "This can only be done in the console, and not with a management key.",
        "此操作只能在控制台中进行，不能使用管理密钥。",
    ),
    "operators_only": ("Only operators of this site may do this.", "仅限本站管理员操作。"),
    "own_role": (
        "Nobody changes their own role. Ask another operator.",
        "不能更改自己的角色，请联系其他管理员。",
    ),
    "own_account": (
        "Nobody suspends their own account. Ask another operator.",
        "不能停用自己的账户，请联系其他管理员。",
    ),
    "account_suspended": ("The account is suspended.", "账户已被停用。"),
    "email_not_confirmed": (
        "The e-mail address has not been confirmed yet. Use the link in the message that was sent to it.",
        "邮箱地址尚未确认，请使用发送到该邮箱的邮件中的链接。",
    ),
    "sign_up_off": ("Nobody can sign up here at the moment.", "目前不开放注册。"),
    "invitation_needed": (
        "Sign-up is by invitation: use the link that you were given.",
        "注册需要邀请，请使用您收到的邀请链接。",
    ),
    "invitation_not_valid": (
        "The invitation is not valid for this: it was used, withdrawn, has expired, or is for another e-mail address.",
        "邀请无效：可能已被使用、撤回、过期，或属于其他邮箱地址。",
    ),
    "fresh_sign_in_needed": (
        "Confirm first that it is you, with your password or second factor.",
        "请先使用密码或第二因素确认身份。",
    ),
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
    "too_many_attempts": (
        "Too many attempts. Try again in {retry_seconds} s.",
        "尝试次数过多，请在 {retry_seconds} 秒后重试。",
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
    "code_unknown": (
        "There is no such code. Check that it was entered whole.",
        "兑换码不存在，请确认输入完整。",
    ),
    "too_many_wrong_codes": (
        "Too many codes were wrong. Try again in a while.",
        "错误的兑换码过多，请稍后再试。",
    ),
    "code_claimed": ("The code was used by another account.", "兑换码已被其他账户使用。"),
    "code_expired": ("The code has expired.", "兑换码已过期。"),
    "code_revoked": ("The code is no longer valid.", "兑换码已失效。"),
    "sign_in_expired": (
        "The sign-in took too long, or was finished already. Begin again.",
        "登录已超时或已完成，请重新登录。",
    ),
    "set_up_expired": (
        "The set-up took too long. Begin again with a new secret.",
        "设置已超时，请使用新的密钥重新开始。",
    ),
    "challenge_used": (
        "The passkey was asked for too long ago, or this answer was shown before. Try again.",
        "通行密钥请求已过期或已使用，请重试。",
    ),
    "passkey_refused": (
        "The passkey could not be verified here. Try again, or use another way to sign in.",
        "无法验证该通行密钥，请重试或使用其他方式登录。",
    ),
    "passkeys_need_a_name": (
        "Passkeys need a host name: the address of this site (RELAY_PUBLIC_URL) is a number.",
        "通行密钥需要主机名：本站地址（RELAY_PUBLIC_URL）是数字地址。",
    ),
    "no_passkey": ("There is no passkey yet.", "尚未添加通行密钥。"),
    "no_second_factor": (
        "There is no second factor yet that recovery codes could replace. Set up an authenticator or a passkey first.",
        "尚无可用恢复代码替代的第二因素，请先设置验证器或通行密钥。",
    ),
    "authenticators_not_set_up": (
        "Authenticators cannot be used here: RELAY_FACTOR_KEY is not set for auth, or is not the one that it was.",
        "此处无法使用验证器：尚未为 auth 设置 RELAY_FACTOR_KEY，或该密钥已更换。",
    ),
    "management_key_not_valid": (
        "The management key is not valid: it is not whole, has expired, or was ended.",
        "管理密钥无效：不完整、已过期或已终止。",
    ),
    "oidc_state_invalid": (
        "The sign-in was not begun in this browser, took too long, or was finished already. Begin again.",
        "该登录并非在此浏览器发起、已超时或已完成，请重新开始。",
    ),
    "oidc_cancelled": ("The sign-in was cancelled there.", "登录已在对方站点取消。"),
    "oidc_email_unverified": (
        "The account there has no e-mail address that has been verified. Verify it there, or sign up here with an address.",
        "对方账户没有已验证的邮箱地址。请先在对方站点验证，或在此使用邮箱注册。",
    ),
    "issuer_unreachable": (
        "The other site does not answer at the moment. Try again shortly, or sign in another way.",
        "对方站点暂时没有响应，请稍后重试或使用其他方式登录。",
    ),
    "issuer_refused": (
        "The other site did not confirm who you are. Begin again; if that does not help, tell whoever runs this site.",
        "对方站点未能确认您的身份。请重新开始；若仍无法登录，请联系本站管理员。",
    ),
    "key_ended": (
        "This key has been revoked; make a new one.",
        "此密钥已被吊销，请新建一个。",
    ),
    "too_many": (
        "There are {limit} {what} already, which is the most there can be. Remove one first.",
        "{what} 已达到 {limit} 个的上限，请先删除一个。",
    ),
    "last_operator": (
        "This is the only operator. Make somebody else an operator first.",
        "这是唯一的管理员，请先将其他人设为管理员。",
    ),
    "search_too_slow": (
        "The search took longer than {limit_seconds} seconds. Look for a longer text, or for an id.",
        "搜索超过 {limit_seconds} 秒。请输入更长的文本或使用 ID 搜索。",
    ),
    "more_than_available": (
        "The account has {available_usd} USD available, and no more than that can be taken from it.",
        "该账户可用余额为 {available_usd} 美元，最多只能扣除此金额。",
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
