/* SPDX-License-Identifier: Apache-2.0 */
/* accept.h - content negotiation between the text formats, as RFC 9110 section 12.5.1 has it. */
#ifndef SLID_ACCEPT_H
#define SLID_ACCEPT_H

#include "export/text.h"

/* accept__format - the format an Accept header asks for. OpenMetrics only when it is named, in
 * version 1.0.0 or in none, and wanted no less than plain text; NULL and nonsense mean plain text.
 */
enum text_format accept__format(const char *accept);

#endif
