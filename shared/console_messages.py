"""The sentences of errors that only the console and its API have: of people, sessions, second factors and operators."""

CONSOLE: dict[str, tuple[str, str]] = {
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
    "too_many_attempts": (
        "Too many attempts. Try again in {retry_seconds} s.",
        "尝试次数过多，请在 {retry_seconds} 秒后重试。",
    ),
    "code_unknown": (
        "There is no such code. Check that it was entered whole.",
        "兑换码不存在，请确认输入完整。",
    ),
    "too_many_wrong_codes": (
        "Too many codes were wrong. Try again in a while.",
        "错误的兑换码过多，请稍后再试。",
    ),
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
}
