# Accesses near each other, which an engine may translate once for all: what must come between them all the same.
.include "long.inc"

.macro MAP index, frame, flags
    movq $TEST_FRAMES+\frame*0x1000+\flags, PT_TEST+\index*8
    invlpg TEST_PAGES+\index*0x1000
.endm
.set END, TEST_PAGES+0x1000
.set ROUNDS, 20000

main:
    DEFAULT_GATE 14, 0x8e, 1
    movq %cr0, %rax
    btsq $16, %rax              # WP
    movq %rax, %cr0
    MAP 0, 0, 7
    MAP 1, 3, 7
    MAP 2, 2, 7

    TEST "a page moves between two accesses"
    movq $100, TEST_FRAMES+8
    movq $200, TEST_FRAMES+0x2008
    movl $ROUNDS, %ebp
    xorl %esi, %esi
    movl $TEST_PAGES, %ebx
1:  movq %rbp, (%rbx)
    MAP 0, 2, 7
    addq 8(%rbx), %rsi
    MAP 0, 0, 7
    addq 8(%rbx), %rsi
    decl %ebp
    jnz 1b
    CHECK %rsi, $300*ROUNDS

    TEST "a page moves on one of two ways"
    movl $ROUNDS, %ebp
    xorl %esi, %esi
1:  addq 8(%rbx), %rsi
    testb $1, %bpl
    jz 2f
    movq $TEST_FRAMES+0x2007, PT_TEST
    invlpg (%rbx)
2:  addq 8(%rbx), %rsi
    movq $TEST_FRAMES+7, PT_TEST
    invlpg (%rbx)
    decl %ebp
    jnz 1b
    CHECK %rsi, $(100+150)*ROUNDS

    TEST "the register moves on one of two ways"
    movq $1, TEST_FRAMES+0x100
    movq $10, TEST_FRAMES+0x110
    movl $ROUNDS, %ebp
    xorl %esi, %esi
1:  movl $TEST_PAGES+0x100, %ebx
    addq (%rbx), %rsi
    testb $1, %bpl
    jz 2f
    addq $16, %rbx
2:  addq (%rbx), %rsi
    decl %ebp
    jnz 1b
    CHECK %rsi, $(1+1)*ROUNDS/2+(1+10)*ROUNDS/2
    movl $TEST_PAGES, %ebx

    TEST "a page becomes read-only between two writes"
    movl $ROUNDS, %ebp
1:  MAP 0, 0, 7
    movq $0, 0x18(%rbx)
    movq %rbp, 0x10(%rbx)
    MAP 0, 0, 5
    EXPECT_RESUME 2f
    movq %rbp, 0x18(%rbx)
2:  CHECKL fault_vector, $14
    CHECKL fault_error, $3
    CHECK fault_cr2, $TEST_PAGES+0x18
    CHECK TEST_FRAMES+0x18, $0
    CHECK TEST_FRAMES+0x10, %rbp
    decl %ebp
    jnz 1b
    MAP 0, 0, 7

    TEST "of reads and a write that does not happen, only the reads need a right"
    MAP 0, 0, 5
    movl $ROUNDS, %ebp
    xorl %esi, %esi
    xorl %ecx, %ecx
1:  addq 8(%rbx), %rsi
    testl %ecx, %ecx
    jz 2f
    movq %rcx, 16(%rbx)
2:  addq 8(%rbx), %rsi
    decl %ebp
    jnz 1b
    CHECK %rsi, $200*ROUNDS
    MAP 0, 0, 7

    TEST "the second of two pages is missing: the first access happens"
    movq $0, PT_TEST+8
    invlpg END
    movl $END, %ebx
    movl $ROUNDS, %ebp
1:  movq $0, TEST_FRAMES+0xff8
    movl $5, %edx
    EXPECT_RESUME 2f
    movq %rbp, -8(%rbx)
    addl $1, %edx
3:  movq %rbp, (%rbx)
2:  CHECKL fault_vector, $14
    CHECK fault_rip, $3b
    CHECK fault_cr2, $END
    CHECK TEST_FRAMES+0xff8, %rbp
    CHECKL %edx, $6
    decl %ebp
    jnz 1b

    TEST "two pages apart, often"
    MAP 1, 3, 7
    movl $40000, %ebp
    movq $0, -8(%rbx)
    movq $0, (%rbx)
1:  incq -8(%rbx)
    addq $3, (%rbx)
    pushq %rbp
    popq %rdx
    decl %ebp
    jnz 1b
    CHECK TEST_FRAMES+0xff8, $40000
    CHECK TEST_FRAMES+0x3000, $120000
    TEST "two pages together, often"
    MAP 1, 1, 7
    movl $40000, %ebp
    movq $0, -8(%rbx)
    movq $0, (%rbx)
1:  incq -8(%rbx)
    addq $3, (%rbx)
    decl %ebp
    jnz 1b
    CHECK TEST_FRAMES+0xff8, $40000
    CHECK TEST_FRAMES+0x1000, $120000

    TEST "writes to the page of the code itself"
    movl $40000, %ebp
    xorl %esi, %esi
    leaq 3f(%rip), %rdi
1:  movl %ebp, 1(%rdi)
    movl %ebp, 6(%rdi)
3:  movl $0, %eax
    movl $0, %edx
    addq %rax, %rsi
    subq %rdx, %rsi
    cmpl %ebp, %eax
    jne 4f
    decl %ebp
    jnz 1b
4:  CHECKL %ebp, $0
    CHECK %rsi, $0

    TEST "a page of the user is left alone where SMAP says so"
    movq %cr4, %rax
    btsq $21, %rax
    movq %rax, %cr4
    movl $TEST_PAGES, %ebx
    movl $ROUNDS, %ebp
1:  stac
    movq (%rbx), %rax
    clac
    EXPECT_RESUME 2f
    movq 8(%rbx), %rax
2:  CHECKL fault_vector, $14
    CHECKL fault_error, $1
    CHECK fault_cr2, $TEST_PAGES+8
    decl %ebp
    jnz 1b
    THE_END
