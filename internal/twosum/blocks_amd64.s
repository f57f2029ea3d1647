#include "textflag.h"

// Two streams, a and b. The state of each is in two registers (F E B A and H G D C, from
// the low word up), the last sixteen words of its message in four. X0 is where
// SHA256RNDS2 has its words and constants, so the streams take turns with it.

// LOAD reads four words of both messages.
#define LOAD(i, ma, mb) \
	MOVOU  (i*16)(SI), ma \
	MOVOU  (i*16)(DX), mb \
	PSHUFB X15, ma        \
	PSHUFB X15, mb

// ROUNDS does four rounds of both.
#define ROUNDS(i, ma, mb) \
	MOVOU       (i*16)(AX), X0  \
	MOVO        X0, X14         \
	PADDL       ma, X0          \
	SHA256RNDS2 X0, X1, X2      \
	PSHUFD      $0x0e, X0, X13  \
	MOVO        X14, X0         \
	PADDL       mb, X0          \
	SHA256RNDS2 X0, X3, X4      \
	PSHUFD      $0x0e, X0, X14  \
	MOVO        X13, X0         \
	SHA256RNDS2 X0, X2, X1      \
	MOVO        X14, X0         \
	SHA256RNDS2 X0, X4, X3

// NEXT ends the next four words of both messages, which BEGIN began: last and now are
// the eight words before them.
#define NEXT(lasta, nowa, nexta, lastb, nowb, nextb) \
	MOVO       nowa, X13      \
	MOVO       nowb, X14      \
	PALIGNR    $4, lasta, X13 \
	PALIGNR    $4, lastb, X14 \
	PADDL      X13, nexta     \
	PADDL      X14, nextb     \
	SHA256MSG2 nowa, nexta    \
	SHA256MSG2 nowb, nextb

// BEGIN begins the four words that take the place of last.
#define BEGIN(lasta, nowa, lastb, nowb) \
	SHA256MSG1 nowa, lasta \
	SHA256MSG1 nowb, lastb

// func blocks(s, t *[8]uint32, a, b *byte, n int)
TEXT ·blocks(SB), NOSPLIT, $64-40
	MOVQ  s+0(FP), R8
	MOVQ  t+8(FP), R9
	MOVQ  a+16(FP), SI
	MOVQ  b+24(FP), DX
	MOVQ  n+32(FP), CX
	LEAQ  constants<>(SB), AX
	MOVOU order<>(SB), X15
	MOVOU   (0)(R8), X13
	MOVOU   (16)(R8), X2
	PSHUFD  $0xb1, X13, X13
	PSHUFD  $0x1b, X2, X2
	MOVO    X13, X1
	PALIGNR $8, X2, X1
	PBLENDW $0xf0, X13, X2
	MOVOU   (0)(R9), X13
	MOVOU   (16)(R9), X4
	PSHUFD  $0xb1, X13, X13
	PSHUFD  $0x1b, X4, X4
	MOVO    X13, X3
	PALIGNR $8, X4, X3
	PBLENDW $0xf0, X13, X4

next:
	TESTQ CX, CX
	JZ    done
	MOVOU X1, state-64(SP)
	MOVOU X2, state-48(SP)
	MOVOU X3, state-32(SP)
	MOVOU X4, state-16(SP)

	LOAD(0, X5, X9)
	ROUNDS(0, X5, X9)
	LOAD(1, X6, X10)
	ROUNDS(1, X6, X10)
	BEGIN(X5, X6, X9, X10)
	LOAD(2, X7, X11)
	ROUNDS(2, X7, X11)
	BEGIN(X6, X7, X10, X11)
	LOAD(3, X8, X12)
	ROUNDS(3, X8, X12)
	NEXT(X7, X8, X5, X11, X12, X9)
	BEGIN(X7, X8, X11, X12)
	ROUNDS(4, X5, X9)
	NEXT(X8, X5, X6, X12, X9, X10)
	BEGIN(X8, X5, X12, X9)
	ROUNDS(5, X6, X10)
	NEXT(X5, X6, X7, X9, X10, X11)
	BEGIN(X5, X6, X9, X10)
	ROUNDS(6, X7, X11)
	NEXT(X6, X7, X8, X10, X11, X12)
	BEGIN(X6, X7, X10, X11)
	ROUNDS(7, X8, X12)
	NEXT(X7, X8, X5, X11, X12, X9)
	BEGIN(X7, X8, X11, X12)
	ROUNDS(8, X5, X9)
	NEXT(X8, X5, X6, X12, X9, X10)
	BEGIN(X8, X5, X12, X9)
	ROUNDS(9, X6, X10)
	NEXT(X5, X6, X7, X9, X10, X11)
	BEGIN(X5, X6, X9, X10)
	ROUNDS(10, X7, X11)
	NEXT(X6, X7, X8, X10, X11, X12)
	BEGIN(X6, X7, X10, X11)
	ROUNDS(11, X8, X12)
	NEXT(X7, X8, X5, X11, X12, X9)
	BEGIN(X7, X8, X11, X12)
	ROUNDS(12, X5, X9)
	NEXT(X8, X5, X6, X12, X9, X10)
	BEGIN(X8, X5, X12, X9)
	ROUNDS(13, X6, X10)
	NEXT(X5, X6, X7, X9, X10, X11)
	ROUNDS(14, X7, X11)
	NEXT(X6, X7, X8, X10, X11, X12)
	ROUNDS(15, X8, X12)

	MOVOU state-64(SP), X13
	MOVOU state-48(SP), X14
	PADDL X13, X1
	PADDL X14, X2
	MOVOU state-32(SP), X13
	MOVOU state-16(SP), X14
	PADDL X13, X3
	PADDL X14, X4
	ADDQ  $64, SI
	ADDQ  $64, DX
	DECQ  CX
	JMP   next

done:
	PSHUFD  $0x1b, X1, X13
	PSHUFD  $0xb1, X2, X2
	MOVO    X13, X1
	PBLENDW $0xf0, X2, X1
	PALIGNR $8, X13, X2
	MOVOU   X1, (0)(R8)
	MOVOU   X2, (16)(R8)
	PSHUFD  $0x1b, X3, X13
	PSHUFD  $0xb1, X4, X4
	MOVO    X13, X3
	PBLENDW $0xf0, X4, X3
	PALIGNR $8, X13, X4
	MOVOU   X3, (0)(R9)
	MOVOU   X4, (16)(R9)
	RET

// func cpuid(leaf, sub uint32) (a, b, c, d uint32)
TEXT ·cpuid(SB), NOSPLIT, $0-24
	MOVL leaf+0(FP), AX
	MOVL sub+4(FP), CX
	CPUID
	MOVL AX, a+8(FP)
	MOVL BX, b+12(FP)
	MOVL CX, c+16(FP)
	MOVL DX, d+20(FP)
	RET

// order turns big-endian words around.
DATA order<>+0(SB)/8, $0x0405060700010203
DATA order<>+8(SB)/8, $0x0c0d0e0f08090a0b
GLOBL order<>(SB), RODATA|NOPTR, $16

// constants are those of FIPS 180-4, 4.2.2.
DATA constants<>+0(SB)/8, $0x71374491428a2f98
DATA constants<>+8(SB)/8, $0xe9b5dba5b5c0fbcf
DATA constants<>+16(SB)/8, $0x59f111f13956c25b
DATA constants<>+24(SB)/8, $0xab1c5ed5923f82a4
DATA constants<>+32(SB)/8, $0x12835b01d807aa98
DATA constants<>+40(SB)/8, $0x550c7dc3243185be
DATA constants<>+48(SB)/8, $0x80deb1fe72be5d74
DATA constants<>+56(SB)/8, $0xc19bf1749bdc06a7
DATA constants<>+64(SB)/8, $0xefbe4786e49b69c1
DATA constants<>+72(SB)/8, $0x240ca1cc0fc19dc6
DATA constants<>+80(SB)/8, $0x4a7484aa2de92c6f
DATA constants<>+88(SB)/8, $0x76f988da5cb0a9dc
DATA constants<>+96(SB)/8, $0xa831c66d983e5152
DATA constants<>+104(SB)/8, $0xbf597fc7b00327c8
DATA constants<>+112(SB)/8, $0xd5a79147c6e00bf3
DATA constants<>+120(SB)/8, $0x1429296706ca6351
DATA constants<>+128(SB)/8, $0x2e1b213827b70a85
DATA constants<>+136(SB)/8, $0x53380d134d2c6dfc
DATA constants<>+144(SB)/8, $0x766a0abb650a7354
DATA constants<>+152(SB)/8, $0x92722c8581c2c92e
DATA constants<>+160(SB)/8, $0xa81a664ba2bfe8a1
DATA constants<>+168(SB)/8, $0xc76c51a3c24b8b70
DATA constants<>+176(SB)/8, $0xd6990624d192e819
DATA constants<>+184(SB)/8, $0x106aa070f40e3585
DATA constants<>+192(SB)/8, $0x1e376c0819a4c116
DATA constants<>+200(SB)/8, $0x34b0bcb52748774c
DATA constants<>+208(SB)/8, $0x4ed8aa4a391c0cb3
DATA constants<>+216(SB)/8, $0x682e6ff35b9cca4f
DATA constants<>+224(SB)/8, $0x78a5636f748f82ee
DATA constants<>+232(SB)/8, $0x8cc7020884c87814
DATA constants<>+240(SB)/8, $0xa4506ceb90befffa
DATA constants<>+248(SB)/8, $0xc67178f2bef9a3f7
GLOBL constants<>(SB), RODATA|NOPTR, $256
