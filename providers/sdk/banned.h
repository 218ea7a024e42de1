/* providers/sdk/banned.h: calls that no file of this project may make; force-included by the build.
 */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok atoi atol atoll atof
#pragma GCC poison gmtime localtime ctime asctime mktemp tmpnam tempnam system popen gets
