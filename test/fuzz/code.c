/*
 * code.c: a coupon code that is read is printed and read back the same, and
 * with any one symbol of it changed it is refused.
 */
#include "fuzz.h"
#include "coupon/code.h"

static void
TryCode(const char *text, Size length)
{
	static const char symbols[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	int64		code;
	int64		again;
	char		printed[CODE_TEXT_SIZE];

	if (ReadCode(text, &code) != CODE_NATIVE)
		return;
	FuzzCheck(code >= 0 && code < INT64CONST(1) << CODE_BITS, "out of range");
	WriteCode(code, printed);
	FuzzCheck(ReadCode(printed, &again) == CODE_NATIVE && again == code, "read back as another");
	for (char *c = printed; *c != '\0'; c++)
	{
		char		right = *c;

		if (right == '-')
			continue;
		*c = symbols[(strchr(symbols, right) - symbols + 1 + length % 31) % 32];
		FuzzCheck(ReadCode(printed, &again) == CODE_MISTYPED, "a wrong symbol passes");
		*c = right;
	}
}

const FuzzTarget code_target = {"code", NULL, TryCode, {0}};
