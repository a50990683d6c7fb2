// SPDX-License-Identifier: GPL-2.0-or-later
/* base/version.h: the version every program of the project answers with. */
#pragma once
#define AZM_VERSION	 "0.1.0"
#define AZM_RELEASE_DATE "2026-11-21"
